"""The stages of the paper's two algorithms, as functions of tensors.

Read the files in the order of the algorithms:

- `segment` divides an input into features, `masks` draws which of them each mask keeps (`philox`, `hashing`, `distinct`), and
  `perturb` eliminates the others;
- `ranks` and `similarity` compare a perturbed sample with the original, which gives the mask its two weights;
- `rounds` is the loop over masks; it fills a `table` of weights for each image, as `plan` says;
- `estimators` turn masks and weights into sensitivities, `consistency` turns these into the score, and `standard_error` says
  how sure the score is;
- `record` is what users see of an image.

`same` defines when two results are the same, `checks` what users may pass, and `wording` how numbers are written. `stages`
marks stages for a profiler.
"""
