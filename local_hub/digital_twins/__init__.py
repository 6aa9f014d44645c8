"""Digital twins: devices as IoT Plug and Play sees them."""
