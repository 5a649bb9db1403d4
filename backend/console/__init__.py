"""The pages: server-rendered, no cookie, no request to anybody else."""
