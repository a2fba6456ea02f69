"""What the groups of diagnosis.json and their leaves are called, and what they mean."""

from __future__ import annotations

# Path of a leaf in diagnosis.json, or its last key -> (name, meaning); groups and leaves that are
# not listed are shown under their own name.
LEAVES = {
    "information.mutual_information": (
        "Mutual information",
        "I(x; z) under q, nats: how much the code says about which example it is",
    ),
    "information.own_included": (
        "Lower bound",
        "q(z) with each code's own example in it: at most log N, nats",
    ),
    "information.leave_one_out": (
        "Upper bound",
        "q(z) with each code's own example left out, nats",
    ),
    "information.ceiling": ("Ceiling", "log N, nats: no estimate from N examples can exceed it"),
    "information.saturated": (
        "Saturated",
        "yes: too near the ceiling, or the bounds too far apart, to be more than a lower bound",
    ),
    "information.minibatch": (
        "Minibatch estimate",
        "as in He et al. 2019, nats: for comparison with published figures only",
    ),
    "information.minibatch_ceiling": (
        "Ceiling of the minibatch estimate",
        "log of the batch size, nats",
    ),
    "information.aggregate_kl": (
        "KL of all codes together",
        "KL(q(z) || p(z)), nats: rate less mutual information; 0 where the codes fill the prior",
    ),
    "information.rate_split.mutual_information": (
        "Mutual information",
        "the part of the rate that tells examples apart, nats",
    ),
    "information.rate_split.total_correlation": (
        "Total correlation",
        "how much the dimensions of the code depend on each other, nats",
    ),
    "information.rate_split.marginal_kl": (
        "Marginal KLs",
        "sum over dimensions of KL(q(z_j) || p(z_j)), nats",
    ),
    "information.rate_split.residual": (
        "Residual",
        "the three parts less the rate in closed form, nats: error of one sampled code per example",
    ),
    "latent_use.shuffled": (
        "Another example's code",
        "rise of distortion when each example gets another one's code, nats; near 0: the decoder "
        "does not use the code",
    ),
    "latent_use.prior": (
        "A draw from the prior",
        "rise of distortion when the code is drawn from p(z), nats",
    ),
    "latent_use.zeroed": ("Zero", "rise of distortion when the code is replaced by 0, nats"),
    "baseline.no_code": (
        "Distortion without a code",
        "the best that was found with no code at all, nats",
    ),
    "baseline.gain": (
        "Gain",
        "distortion without a code - (distortion + rate), nats: what the code is worth; below 0 it "
        "is worth less than it costs",
    ),
    "likelihood.importance_weighted": (
        "log p(x), lower bound",
        "importance-weighted bound (Burda et al. 2016), nats: at least the ELBO, rises with K",
    ),
    "importance_samples": ("Samples K", "codes drawn for each example"),
    "likelihood.effective_sample_size": (
        "Effective sample size",
        "how many of the K samples count: between 1 and K",
    ),
    "likelihood.gain_over_elbo": (
        "Gain over the ELBO",
        "bound - ELBO, nats: a part of the gap KL(q(z|x) || p(z|x))",
    ),
    "sequences.tokens_per_sequence": ("Tokens in a sequence", "its end among them, padding not"),
    "sequences.cut": ("Cut sequences", "share of them that lost their end to data.max_length"),
    "sequences.unknown": ("Unknown tokens", "share of tokens that are not in the vocabulary"),
    "sequences.above_source": (
        "Above the source",
        "distortion + rate less the sequences' own -log p(x), nats: at least the divergence of the "
        "model from the source they were drawn from; never below 0 on average",
    ),
    "sequences.perplexity_source": (
        "Perplexity of the source",
        "of the sequences under what they were drawn from: no model does better on average",
    ),
    "sequences.perplexity_same_sequences": (
        "Perplexity per token, of those",
        "as above, but of the sequences of the importance-weighted one alone",
    ),
    "sequences.perplexity": (
        "Perplexity per token",
        "exp of (distortion + rate) / tokens: at least that of the model; lower is better",
    ),
    "sequences.perplexity_importance_weighted": (
        "Perplexity, importance-weighted",
        "from the bound on log p(x): nearer to the model's own",
    ),
    "sequences.perplexity_no_code": (
        "Perplexity without a code",
        "of the decoder as a language model alone",
    ),
    "inference.gain": (
        "ELBO gained",
        "by gradient steps on q(z|x) of single examples, the model fixed, nats: how far the "
        "encoder lags behind",
    ),
    "inference.refined_rate": ("Rate after the steps", "E_x KL(q(z|x) || p(z)), nats"),
    "inference.steps": ("Steps", "gradient steps on each posterior"),
    "pruning.dead_units": ("Dead units", "dimensions with Var_x[mu_j] at most 0.01"),
    "pruning.elbo": ("ELBO without them", "dead units drawn from the prior, at no KL, nats"),
    "pruning.change": ("Change", "ELBO without the dead units - ELBO, nats"),
    "pruning.importance_weighted": (
        "log p(x) without them, lower bound",
        "the importance-weighted bound with dead units drawn from the prior, nats",
    ),
    "latent_space.knn": ("Nearest neighbours", "share of classes found from the nearest codes"),
    "latent_space.knn_shuffled_labels": (
        "Nearest neighbours, shuffled labels",
        "the same with shuffled labels: what guessing reaches",
    ),
    "latent_space.linear_probe": ("Linear probe", "share of classes found by a linear rule"),
    "latent_space.linear_probe_shuffled_labels": (
        "Linear probe, shuffled labels",
        "the same with shuffled labels: what guessing reaches",
    ),
    "collapse_curve.delta": ("Delta", "share of the inputs that may stay outside"),
    "collapse_curve.collapsed_at_threshold": (
        "Collapsed dimensions",
        "share of dimensions that are (threshold, delta)-collapsed; the picture has every epsilon",
    ),
    "prediction.critical_beta": (
        "Critical beta",
        "largest eigenvalue of the whitened score's covariance: at and above it collapse is stable",
    ),
    "prediction.beta": ("Beta", "the run's target weight of the KL"),
    "prediction.unstable_directions": (
        "Directions that can leave collapse",
        "eigenvalues above beta",
    ),
    "prediction.expected_active": (
        "Expected",
        "dimensions that can be in use: no more than the model has",
    ),
    "prediction.measured_directions": (
        "Measured",
        "directions of z-space in which the posterior mean moves",
    ),
    "prediction.measured_active": ("In dimensions", "active ones, over which they are spread"),
    "prediction.agrees": ("Agrees", "within a quarter, or one"),
}

# Heading of each group, in the order of the page.
GROUPS = {
    "information": "How much information is in the code?",
    "latent_use": "Does the decoder use the code?",
    "baseline": "What is the code worth?",
    "likelihood": "How well does the model explain the data?",
    "sequences": "How well is each token foretold?",
    "inference": "Does the encoder lag behind?",
    "pruning": "Are the dead dimensions dead?",
    "latent_space": "Is the class in the code?",
    "collapse_curve": "How much of the code is how close to the prior?",
    "prediction": "Was it to be expected?",
    "theory": "Theory beside measurement",
}

# Path of a list with one number a dimension -> (heading, meaning) of its column.
COLUMNS = {
    "kl_per_dim": ("KL, nats", "mean over examples of KL(q(z_j|x) || p(z_j))"),
    "mu_variance_per_dim": ("Var[mu_j]", "variance of the posterior mean over examples"),
    "information.marginal_kl_per_dim": (
        "Marginal KL",
        "KL(q(z_j) || p(z_j)) of all codes together, nats; estimates of 0 may fall below it",
    ),
    "latent_use.rise_per_dim": (
        "Rise when shuffled",
        "rise of distortion when only this dimension comes from another example, nats",
    ),
    "collapse_curve.epsilon_per_dim": (
        "Collapsed from",
        "epsilon, nats, below which its KL lies for 99 % of the examples",
    ),
}

# Names of the compared figures that have no flat key of their own, or another scale.
THEORY = {
    "objective": "Objective: distortion + beta x rate",
    "kl_per_dim": "KL_j",
    "kl_per_dim_sum": "KL_j, summed",
    "mu_variance": "Var_x[mu_j]",
    "mu_variance_sum": "Var_x[mu_j], summed",
    "mutual_information": "Mutual information",
    "log_px_importance_weighted": "log p(x), importance-weighted bound",
    "log_px_exact": "log p(x), exact, of the trained weights",
    "sigma2": "Variance of the likelihood, sigma^2",
}
