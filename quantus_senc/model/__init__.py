"""The model and the explanation method as black boxes on the model's device.

- `adapted` makes a model return (N, classes): `adapter` says how, and `returned` what it returns;
- `explained_model` predicts and explains, `first_look` says whether it can, `outputs` checks maps, `arrays` stands between
  NumPy and tensors;
- `state` puts a model back as it was, by `put_back` also after an interrupt at the worst instant;
- `pass_size` says how many samples go in a pass, also when memory runs out;
- shortcuts: `shared_pass` (one forward pass for prediction and explanation), `layers_once` (layers run once an image),
  `retain_heap` (memory of earlier passes);
- `module_order` says in which order a model calls its modules, `warn` warns users.
"""
