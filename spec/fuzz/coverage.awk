# coverage.awk: what a fuzz target has reached of src/, from libFuzzer's log (-print_coverage=1),
# and whether that is enough.
#
#   awk -f coverage.awk NAME.c NAME.log
#       A line for the target. It fails where the target is below a floor in the head of NAME.c.
#   awk -f coverage.awk -v all=1 *.log
#       "N targets, M runs, E edges": an edge that several targets reach counts once.
#
# An edge is a block of clang's -fsanitize=fuzzer-no-link. Many blocks are those to which
# UndefinedBehaviorSanitizer's checks go when they fail, so that sound code seldom reaches more than
# 60 % of a file. What ran before the first input, to make contexts and the like, is not counted.
# A target that plays files of Lua (fuzz_scripts.c) says how many of their lines it has reached, and
# how many there are.
#
# Which edges of a function were reached is not printed, only how many. So of several targets the
# one that reaches the most of a function counts for it.

function short(path) {
    sub(/.*\/src\//, "src/", path)
    sub(/:[0-9]+$/, "", path)
    return path
}

FILENAME ~ /\.c$/ {
    if ($2 == "floor:" && $4 ~ /^[0-9]+$/) {
        floors[++floors_len] = $3
        floor[$3] = $4
    }
    next
}

FNR == 1 { targets++ }

$1 == "stat::number_of_executed_units:" { runs += $2 }

$1 ~ /COVERED_FUNC:$/ && $NF ~ /\/src\/.*\.c:[0-9]+$/ {
    split($5, edges, "/")
    file = short($NF)
    reached[file] += edges[1]
    there[file] += edges[2]
    ours += edges[1]
    place = $NF " " $6
    union += edges[1] > best[place] ? edges[1] - best[place] : 0
    best[place] = edges[1] > best[place] ? edges[1] : best[place]
}

$1 == "COVERED_LINES:" {
    reached[$2] = $3
    there[$2] = $4
    lines += $3
}

END {
    if (all) {
        printf "%d targets, %d runs, %d edges, %d lines of Lua", targets, runs, union, lines
        exit
    }
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.log$/, "", name)
    printf "%s: %d runs, %d edges of ours", name, runs, ours
    if (lines > 0) {
        printf ", %d lines of Lua", lines
    }
    low = floors_len == 0 || ours == 0
    for (i = 1; i <= floors_len; i++) {
        file = floors[i]
        percent = there[file] > 0 ? 100 * reached[file] / there[file] : 0
        printf "%s %d %% of %s", i == 1 ? ";" : ",", percent, substr(file, 5)
        if (percent < floor[file]) {
            printf " (too little: its floor is %d %%)", floor[file]
            low = 1
        }
    }
    print floors_len == 0 ? "; it has no floor" : ""
    exit low
}
