import sys

for (
    hook
) in sys.meta_path:  # pytest rewrites the asserts of a package that has a plugin: seconds for each process
    getattr(hook, "_must_rewrite", set()).discard("quince")
