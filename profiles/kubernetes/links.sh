#!/bin/sh
# In an empty copy of the project: let `results` and `checkpoints` be Snakemake's copies of what lies in the bucket, and
# `data` a folder on the volume. Steps look for files under these names; Snakemake brings and takes away the copies.
#   sh profiles/kubernetes/links.sh s3/my-bucket/cones /mnt/cones/data
set -eu
copies=.snakemake/storage/$1
mkdir -p "$copies/results" "$copies/checkpoints" "$2"
ln -sfn "$2" "$copies/data"
rm -f results/README.md
for name in results checkpoints data; do
    if [ -d "$name" ] && [ ! -L "$name" ]; then
        rmdir "$name" # a folder with something in it is not touched: the script ends here
    fi
    ln -sfn "$copies/$name" "$name"
done
