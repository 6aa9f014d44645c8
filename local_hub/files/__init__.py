"""File upload: devices ask where to put a file, put it there, and say so; services are notified.

Source: IoT Hub developer guide, "Upload files with IoT Hub".
"""
