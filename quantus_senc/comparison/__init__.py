"""`quantus_senc.compare`: scores of explanation methods by several metrics, on the same images and model."""
