"""An edge module that plays recordings: temperatures of two cities and product reviews, with faults on request."""
