"""A model and an explanation method as black boxes on a device."""
