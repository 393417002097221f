#!/usr/bin/env bash
# The claim of 2007, measured with fio itself, unmodified: POSIX AIO by threadlet (preloaded) beside
# the C library's, the kernel's own (libaio) and io_uring. 4 KiB random reads of one file, and a mix
# of writes with an fsync every 64 of them. The engines take turns in one run; the ratios are of
# medians.
#
#   benches/fio.sh [DIRECTORY]      where the file is to be (default: target/fio)
#
#   ROUNDS=5     how many times each engine has its turn (odd)
#   SECONDS_EACH=2   how long a turn takes
#   SIZE=256m    how large the file is; it has to fit into memory for the cached reads
#   ONLY=REGEX   only the workloads whose name matches
#
# It installs nothing. It needs: fio with the engines posixaio, libaio and io_uring (Debian:
# `apt-get install fio`), a file system with O_DIRECT whose cached reads can be asked for (ext4, xfs;
# not tmpfs), cargo, awk; and strace for the count of threads (without it, /proc is sampled). What is
# missing is said, and that part left out.
#
# CPU is that of the whole process, all its threads included, less that of a run which does one
# request; what the kernel does in its own threads and in interrupts is in nobody's figure.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

directory=${1:-target/fio}
rounds=${ROUNDS:-5} each=${SECONDS_EACH:-2} size=${SIZE:-256m} only=${ONLY:-.}
command -v fio >/dev/null || { echo 'fio is missing (Debian: apt-get install fio)'; exit 2; }
cargo build --quiet --release -p threadlet-aio
library=${CARGO_TARGET_DIR:-target}/release/libthreadlet_aio.so
library=$(realpath "$library")
mkdir -p "$directory"
directory=$(realpath "$directory")
file=$directory/fio.dat
place=$(mktemp -d "${TMPDIR:-/tmp}/threadlet-fio.XXXXXX")
trap 'rm -rf "$place" "$file"' EXIT

fio --name=fill --filename="$file" --rw=write --bs=1M --size="$size" --ioengine=psync --end_fsync=1 \
    --output="$place/fill" || { cat "$place/fill"; exit 2; }

engines=()
for engine in posixaio libaio io_uring; do
    if fio --name=try --filename="$file" --size=4k --rw=read --bs=4k --ioengine=$engine \
        --output="$place/try" 2>&1 && ! grep -q 'err= *[1-9]' "$place/try"; then
        case $engine in
        posixaio) engines+=(threadlet glibc) ;;
        *) engines+=("$engine") ;;
        esac
    else
        echo "left out: $engine (fio has no such engine here, or it is not allowed)"
    fi
done

# Name, and what fio is told.
workloads='
cached-1    --rw=randread --direct=0 --iodepth=1
cached-16   --rw=randread --direct=0 --iodepth=16
direct-32   --rw=randread --direct=1 --iodepth=32
mix-fsync   --rw=randrw --rwmixwrite=80 --direct=0 --iodepth=16 --fsync=64
'

# turn ENGINE OPTION...: one run of fio.
turn() {
    local engine=$1 preload= ioengine=$1
    shift
    case $engine in
    threadlet) ioengine=posixaio preload=$library ;;
    glibc) ioengine=posixaio ;;
    esac
    LD_PRELOAD=$preload fio --name=turn --filename="$file" --size="$size" --bs=4k --ioengine=$ioengine \
        --randrepeat=0 --norandommap --invalidate=0 --output-format=terse "$@"
}

# cpu ENGINE OPTION...: the line of a turn, and the CPU seconds of it.
cpu() {
    local TIMEFORMAT='%U %S' line
    { time line=$(turn "$@" 2>/dev/null); } 2>"$place/cpu"
    printf '%s;%s\n' "$line" "$(awk '{ print $1 + $2 }' "$place/cpu")"
}

median() { sort -g | awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'; }

measure() { # WORKLOAD OPTION...
    local name=$1 engine round
    shift
    cat "$file" >/dev/null
    for engine in "${engines[@]}"; do
        cpu "$engine" "$@" --number_ios=1 | awk -F';' '{ print $NF }' >"$place/$name.$engine.idle"
    done
    for ((round = 0; round < rounds; round++)); do
        for engine in "${engines[@]}"; do
            # Fields of fio's third terse format: requests a second, and milliseconds, of reads and
            # writes.
            cpu "$engine" "$@" --time_based --runtime="$each" |
                awk -F';' -v idle="$(cat "$place/$name.$engine.idle")" '{
                    done = $8 * $9 / 1000 + $49 * $50 / 1000
                    cpu = ($NF - idle) * 1e6 / (done ? done : 1)
                    printf "%d %.2f\n", $8 + $49, cpu }' >>"$place/$name.$engine"
        done
    done
    for engine in "${engines[@]}"; do
        cut -d' ' -f1 "$place/$name.$engine" | median >"$place/$name.$engine.iops"
        printf '%-10s %-10s %10s/s %8s us CPU each    rounds: %s\n' "$name" "$engine" \
            "$(cat "$place/$name.$engine.iops")" "$(cut -d' ' -f2 "$place/$name.$engine" | median)" \
            "$(cut -d' ' -f1 "$place/$name.$engine" | paste -sd' ')"
    done
}

bars=()
missed=0
# bar WORKLOAD OTHER AT_LEAST
bar() {
    [ -s "$place/$1.threadlet.iops" ] && [ -s "$place/$1.$2.iops" ] || return 0
    local ratio verdict=yes
    ratio=$(awk -v a="$(cat "$place/$1.threadlet.iops")" -v b="$(cat "$place/$1.$2.iops")" \
        'BEGIN { printf "%.2f", b ? a / b : 0 }')
    awk -v r="$ratio" -v bar="$3" 'BEGIN { exit !(r < bar) }' && { verdict=NO missed=$((missed + 1)); }
    bars+=("$(printf '%-10s threadlet / %-9s %8s   at least %5s   %s' "$1" "$2" "$ratio" "$3" "$verdict")")
}

# Threads that the library starts in a run of cached reads: those of the process, less those it has
# with an engine that starts none.
threads_started() {
    local options=(--rw=randread --direct=0 --iodepth=1 --number_ios=100000 --output=/dev/null)
    cat "$file" >/dev/null
    if command -v strace >/dev/null; then
        local name
        for name in threadlet psync; do
            (
                case $name in
                threadlet) preload=(env LD_PRELOAD="$library") ioengine=posixaio ;;
                *) preload=() ioengine=psync ;;
                esac
                strace -f -c -e trace=clone,clone3 -o "$place/strace.$name" "${preload[@]}" \
                    fio --name=count --filename="$file" --size="$size" --bs=4k --ioengine=$ioengine \
                    --randrepeat=0 --norandommap --invalidate=0 "${options[@]}"
            ) >/dev/null
        done
        count() { awk '$NF ~ /^clone3?$/ { sum += $4 } END { print sum + 0 }' "$place/strace.$1"; }
        printf '%-10s threads started by threadlet: %s   (strace: %s of fio, %s with an engine that starts none)\n' \
            cached-1 "$(($(count threadlet) - $(count psync)))" "$(count threadlet)" "$(count psync)"
    else
        turn threadlet "${options[@]}" --time_based --runtime=2 >/dev/null &
        sleep 1
        printf '%-10s threads named threadlet: %s   (/proc, once; there is no strace)\n' cached-1 \
            "$(cat /proc/[0-9]*/task/*/comm 2>/dev/null | grep -c '^threadlet' || true)"
        wait
    fi
}

printf '%s, Linux %s, %s CPUs, load %s; file of %s on %s; %s rounds of %s s\n\n' "$(fio --version)" \
    "$(uname -r)" "$(nproc)" "$(cut -d' ' -f1-3 /proc/loadavg)" "$size" \
    "$(stat -f -c %T "$directory")" "$rounds" "$each"
while read -r name options; do
    [[ -n $name && $name =~ $only ]] || continue
    # shellcheck disable=SC2086
    measure "$name" $options
    echo
done <<<"$workloads"
[[ cached-1 =~ $only ]] && threads_started
bar cached-1 glibc 10
bar cached-1 libaio 1.2
bar cached-16 libaio 1.2
bar cached-1 io_uring 1.0
bar direct-32 glibc 4
bar direct-32 libaio 0.9
bar mix-fsync glibc 1.0
echo
printf '%s\n' "${bars[@]:-nothing to compare}"
printf 'bars missed: %s\n' "$missed"
