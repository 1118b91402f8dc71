"""Links that others give us: taken in, judged by rules, made into downloads.

`intake` stores, `feeds` asks RSS and Atom feeds, `rules` judges titles, `processing` makes jobs of what passes, `titles`
reads what a title says. The row is the truth: whatever is `new` is still to be looked at, whoever was told so.
"""
