"""Edge module that scores texts through the HTTP API of the Text Analytics sentiment container."""
