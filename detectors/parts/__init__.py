"""Building blocks of the detectors: boxes, crops, pooling, classifiers, regressors. A part imports no method."""
