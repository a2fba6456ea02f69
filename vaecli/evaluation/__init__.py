"""One pass over a split: what training and diagnosis both measure."""
