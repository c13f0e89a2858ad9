"""The stages of the paper's two algorithms.

Data SenC (Algorithm 1) masks features of an input, parameter SenC (Algorithm 2) units of a layer; the stages are the same. Read
the files in this order:

- `segment` divides an input into features, `masks` draws the features that each mask keeps (with `philox` and `hashing`), and
  `perturb` eliminates the others;
- `ranks` and `similarity` compare a perturbed sample with the original, which gives the mask its two weights;
- `mask_loop` is the loop over masks. It fills a `weight_table` for each image, as `plan` says, and runs `distinct_masks` alone;
- `estimators` turn masks and weights into sensitivities, `ties` and `consistency` turn these into the score, and
  `standard_error` says how sure the score is;
- `record` is what users see of an image.

`same_result` defines when two results are the same, `checks` what users may pass, and `wording` how numbers are written.
`profiler_marks` marks the stages for a profiler.
"""
