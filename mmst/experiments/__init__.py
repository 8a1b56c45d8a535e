"""Experiments: arms × seeds through the one pipeline, and what they say about claims.

    definition (YAML) → a few runs a seed → outcomes an item → claims, table, page

    definition   what is compared and claimed, fixed before anything runs
    outcomes     every arm's held-out outcomes, read from the store
    inference    intervals over items and seeds, p-values, Holm's correction
    findings     outcomes + claims → what is supported, contradicted or not resolved
    page         all of it as one HTML file
    written      what stands in a store of it

Nothing is trained or sampled here: a seed's arms are the arms and rounds of ordinary runs
(`mmst run`), which share every stage that they have in common.
"""
