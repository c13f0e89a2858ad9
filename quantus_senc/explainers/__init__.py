"""`quantus_senc.explain`: explanation methods by Captum."""
