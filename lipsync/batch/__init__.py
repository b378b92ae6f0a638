"""Many videos: in worker processes of a Ray cluster, on one machine or several.

    items ─► scheduler ─► workers, each with its networks loaded once ─► outcomes, in the order they end
             retries,     worker.py; on Ray: ray_pool.py
             cancel

`ray_cluster` starts or joins a cluster. Nothing here needs Ray but `ray_cluster` and `ray_pool`, and these
import it when it is used.
"""
