"""An edge module that watches messages by rules and acts: HTTP calls, direct methods, messages."""
