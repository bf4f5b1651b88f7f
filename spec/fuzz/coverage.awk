# coverage.awk: what a fuzz target has reached of src/, from libFuzzer's log (-print_coverage=1),
# and whether that is enough.
#
#   awk -f coverage.awk [-v judged=0] NAME.c NAME.log
#       A line for the target. It fails where the target is below a floor in the head of NAME.c, if
#       that is to be judged.
#   awk -f coverage.awk -v floors=1 NAME.c NAME.log...
#       NAME.c with other floors: nine tenths of the least that one of these runs reached. So the
#       floors hold with another compiler and another libc, too, and while code is added that the
#       corpus does not reach yet.
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

# In whole percent, rounded down.
function percent_of(run, file) {
    return there[run, file] > 0 ? int(100 * reached[run, file] / there[run, file]) : 0
}

function least_of(file,    run, least) {
    least = 100
    for (run = 1; run <= logs; run++) {
        least = percent_of(run, file) < least ? percent_of(run, file) : least
    }
    return least
}

function print_source(    i, words) {
    for (i = 1; i <= source_len; i++) {
        if (split(source[i], words, " ") == 4 && words[3] in floor) {
            print " * floor: " words[3] " " int(0.9 * least_of(words[3]))
        } else {
            print source[i]
        }
    }
}

BEGIN { judged = judged == "" ? 1 : judged }

FILENAME ~ /\.c$/ {
    source[++source_len] = $0
    if ($2 == "floor:" && $4 ~ /^[0-9]+$/) {
        files[++files_len] = $3
        floor[$3] = $4
    }
    next
}

FNR == 1 { logs++ }

$1 == "stat::number_of_executed_units:" { runs += $2 }

$1 ~ /COVERED_FUNC:$/ && $NF ~ /\/src\/.*\.c:[0-9]+$/ {
    split($5, edges, "/")
    file = short($NF)
    reached[logs, file] += edges[1]
    there[logs, file] += edges[2]
    ours += edges[1]
    place = $NF " " $6
    union += edges[1] > best[place] ? edges[1] - best[place] : 0
    best[place] = edges[1] > best[place] ? edges[1] : best[place]
}

$1 == "COVERED_LINES:" {
    reached[logs, $2] = $3
    there[logs, $2] = $4
    lines += $3
}

END {
    if (all) {
        printf "%d targets, %d runs, %d edges, %d lines of Lua", logs, runs, union, lines
        exit
    }
    if (floors) {
        print_source()
        exit
    }
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.[a-z]+$/, "", name)
    printf "%s: %d runs, %d edges of ours", name, runs, ours
    if (lines > 0) {
        printf ", %d lines of Lua", lines
    }
    low = files_len == 0 || ours == 0
    for (i = 1; i <= files_len; i++) {
        file = files[i]
        percent = percent_of(1, file)
        printf "%s %d %% of %s", i == 1 ? ";" : ",", percent, substr(file, 5)
        if (judged && percent < floor[file]) {
            printf " (too little: its floor is %d %%)", floor[file]
            low = 1
        }
    }
    print files_len == 0 ? "; it has no floor" : ""
    exit low
}
