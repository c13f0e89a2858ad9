"""`quantus_senc.explain`: explanation methods, most of them by Captum."""
