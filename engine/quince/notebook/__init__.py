"""What is seen in notebooks: views of processes, trees, results and errors, and a bar while one waits."""
