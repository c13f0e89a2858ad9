"""The experiments of the SenC paper and of its neighbours, tried again: see `benchmarks.reproduce`.

- `setup` is what an experiment needs: options, `images`, `networks` with their `training`, and `parts` that processes
  share;
- experiments 1 to 4 are `mnist`, `cifar10`, `gtsrb`, and `imagenet` (with the transformer). Each is a study of
  `paper_scores`, by the paper's `methods`, with `parameter_scores` of layers;
- experiment 5 is `settings`, 6 `critique` (Binder et al.: randomisation checks), 7 `meta_evaluation` (MetaQuantus), 8
  `known_truth`. Modules with the same first word belong to them;
- `claims` are all claims, in the order of `claims_tables` (1 to 4), `claims_settings`, `claims_critique`, `claims_truth` (7
  and 8); `judging` says what holds. `recommendations` follow from the results;
- `page` writes the page, with `page_tables` of experiments 5 to 8; `values` rounds numbers for JSON.
"""
