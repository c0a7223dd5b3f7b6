#!/usr/bin/env bash
# Items shared by the machines of a Slurm job: one task on each sees all its GPUs, and
# JAX reads number, rank and coordinator from the job.
# Run:  sbatch configs/cloud/slurm.sh DATA RUN     DATA and RUN on a disk that all see
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=8
#SBATCH --cpus-per-task=32
#SBATCH --mem=0
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
srun meio solve "$1" --out "$2" --processes auto --resume
