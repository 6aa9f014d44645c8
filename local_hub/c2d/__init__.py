"""Cloud-to-device messages and the feedback on them."""
