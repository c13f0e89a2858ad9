"""The metrics that Quantus calls.

- `data_senc` and `parameter_senc` are the two metrics. `base` is what they share with Quantus, `batched_metric` how they go
  through the images. `derived` are top-k agreement and standard error, which read the `last_run`. `register` lists all in
  Quantus;
- `image_batch` holds some images of a call; `method_check` asks whether the method is a function of the input alone;
- `masked_inputs` are the perturbed samples of data SenC, `features` their features;
- `masked_layers` are those of parameter SenC. `layers` chooses the layers, `units` masks their units, `hook_check` compares
  hooks with zeroed weights, and `masking_strategy` decides between the two;
- `call_warnings` says which scores are NaN, and why.
"""
