"""What README, CONTRIBUTING and docs/ tell people to type. `pages` finds it, `known` checks it without running it,
`running` runs it on data that `workshop` makes. Why some of it is not run stands in the page, above the block:

    <!-- not run: needs ros2 -->                           nothing of the next block
    <!-- not run (make test): it is what runs this -->     only its commands that begin so
"""
