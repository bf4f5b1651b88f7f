-- scenes.lua: has the scenes of spec/faults, each with its share of the time.
local clients = require "clients"
local page = require "page"
local process = require "spec.support.process"
local program = require "spec.support.program"
local redis = require "redis"
local uv = require "luv"

local now <const>, sleep <const> = clients.now, clients.sleep

-- How many clients there are of each kind: all kinds, and those that make handshakes.
local ALL <const> = {
    keep_alive = 20, short = 4, resumed = 12, big = 2, slow = 4,
    reset = 2, half_hello = 4, garbage = 2, rude_reset = 2,
}
local HANDSHAKES <const> = {
    keep_alive = 6, short = 2, resumed = 16, big = 1, reset = 1, garbage = 1,
}

local HOG <const> = 2048 -- MiB

local KILLED <const> = "^warning: worker %d+ %(process %d+%) ended with signal 9; another starts"

local function unique(text)
    return ("%s-%d-%d"):format(text, uv.os_getpid(), math.random(1 << 30))
end

local scenes = {}

-- ---------------------------------------------------------------------------- workers are killed

-- A worker that has lived for so long is started again after a tenth of a second. So many are
-- killed a thousand times in three minutes, which is what the scenes have of five.
local LONG <const>, WORKERS <const> = 5.2, 44

-- Kills every worker but the first as soon as it has lived for long, at any moment of its work.
-- each, if given, is called every two seconds.
local function kill_all_day(self, each)
    local reload_at = now()
    while self:goes_on() do
        for _, worker in ipairs(self.server:living()) do
            if worker.pid ~= self:survivor() and now() - worker.since > LONG + math.random() then
                self:kill(worker)
            end
        end
        if now() > reload_at then
            self:reload()
            if each then each() end
            reload_at = now() + 2
        end
        sleep(0.05)
    end
end

-- The slab is gone when the server has stopped, if it is the server's own.
local function no_slab_left()
    local names = {}
    local list = uv.fs_scandir "/dev/shm"
    for name in function() return list and uv.fs_scandir_next(list) end do
        if name:find "^tlslife%-serve%-" then names[name] = true end
    end
    return names
end

local function kills(name, store, share)
    return {
        name = name, share = share, mix = ALL, server = { workers = WORKERS, store = store },
        during = function(self) kill_all_day(self) end, expected = { KILLED },
        finish = function() os.remove("/dev/shm/tlslife-" .. store:match "[^:]*$") end,
    }
end

function scenes.kills()
    return kills("kill -9 and reloads, a slab", "slab:" .. unique "faults", 45)
end

function scenes.kills_by_default()
    local before = no_slab_left()
    local scene = kills("kill -9 and reloads, as tls.serve is", "serve", 15)
    scene.finish = function(self)
        for left in pairs(no_slab_left()) do
            if not before[left] then self:find("%s is left in /dev/shm", left) end
        end
    end
    return scene
end

-- --------------------------------------------------------------------------- what serves later on

-- Kills workers whose clients are parked, come by PROXY headers and by a Unix socket, and reads the
-- page of metrics, which must agree with what the clients have counted.
function scenes.parked()
    local path = process.directory() .. "/parked.sock"
    return {
        name = "kill -9, on_request, PROXY, Unix", share = 8,
        mix = { parked = 40, short = 4, resumed = 8, slow = 2, reset = 2, half_hello = 2 },
        server = { workers = 12, store = "serve", socket = path },
        expected = { KILLED },
        during = function(self)
            self.page = page.new(self.server)
            kill_all_day(self, function() self.page:read(self) end)
        end,
        after = function(self) self.page:judge(self) end,
        finish = function() os.remove(path) end,
    }
end

-- ----------------------------------------------------------------------------------------- Redis

-- After a fault, tlslife waits for twice as long as before each attempt: at most as long as it has
-- lasted, and the deadline of a lookup.
local SECONDS <const>, AFTER <const>, QUIET <const> = 2, 6, 2

local function redis_fails(self)
    local i = 0
    while self:goes_on() do
        i = i % #redis.FAULTS + 1
        local name, act = table.unpack(redis.FAULTS[i])
        self:fault(function(seconds) act(self.redis, seconds) end, SECONDS, AFTER)
        self:must_resume("after Redis was " .. name)
        sleep(QUIET)
    end
end

local function redis_scene(path, share)
    local store = redis.start(path)
    return {
        name = path:match "[^/]*$" .. " fails", share = share, mix = HANDSHAKES,
        server = { workers = 3, store = "redis:" .. store.proxy.port },
        spare_descriptors = 1, -- a duplicate of the store's, which a loop watches: lstore.c
        during = function(self)
            self.redis = store
            redis_fails(self)
        end,
        finish = function(self)
            self.redis_faults = self.faults
            store:stop()
        end,
    }
end

local function find(name)
    local pipe = assert(io.popen("PATH=$PATH:/usr/sbin command -v " .. name))
    local path = pipe:read "l"
    pipe:close()
    return path
end

function scenes.redis()
    local path = find "redis-server"
    return path and redis_scene(path, 20) or "no redis-server"
end

function scenes.valkey()
    local path = find "valkey-server"
    return path and redis_scene(path, 10) or "this Debian has no valkey-server"
end

-- ---------------------------------------------------------------------------------------- the slab

local SLAB_FAULTS <const> = {
    { "written over", function(path)
        local file <close> = assert(io.open(path, "r+b"))
        local size <const> = file:seek "end"
        for _ = 1, 200 do
            file:seek("set", math.random(4096, size - 4096))
            file:write(("\255"):rep(math.random(4096)))
        end
    end },
    { "swapped", function(path)
        process.spill(path .. ".new", ("junk"):rep(4 << 20))
        assert(os.execute(("chmod 600 '%s.new'"):format(path))) -- which others may write is refused
        assert(os.rename(path .. ".new", path))
    end },
    { "removed", function(path) assert(os.remove(path)) end },
    { "cut to half", function(path) assert(os.execute("truncate -s 8M " .. path)) end },
    { "cut to nothing", function(path) assert(os.execute("truncate -s 0 " .. path)) end },
}

function scenes.slab()
    local path = "/dev/shm/" .. unique "tlslife-faults-file"
    return {
        name = "the slab is cut, swapped, written over", share = 10, mix = HANDSHAKES, dies = true,
        server = { workers = 3, store = "file:" .. path },
        expected = { KILLED, (KILLED:gsub("signal 9", "signal 7")) },
        during = function(self)
            local i = 0
            while self:goes_on() do
                i = i % #SLAB_FAULTS + 1
                local name, act = table.unpack(SLAB_FAULTS[i])
                self:fault(function() act(path) end, 0, 12)
                -- Workers that go on with a file without a name share nothing with new ones.
                for _, worker in ipairs(self.server:living()) do self:kill(worker) end
                self:must_resume("after the slab was " .. name)
                sleep(6)
            end
        end,
        finish = function() os.remove(path) end,
    }
end

-- --------------------------------------------------------------------------------------- the clock

local HOUR <const>, DAY <const> = 3600, 86400
local JUMPS <const> = { 1, HOUR, -HOUR, DAY, -DAY, 30 * DAY, -30 * DAY, 3650 * DAY, -3650 * DAY, 0 }

-- Many wait when the time jumps: a deadline by the wrong clock ends them.
local WAITERS <const> = { keep_alive = 6, short = 2, resumed = 16, slow = 4, big = 2, tardy = 24 }

-- The server reads the time from a file that the scene writes.
function scenes.clock()
    local directory = program.path:match "^(.*)/" .. "/spec/faults"
    if not io.open(directory .. "/clock.so") then
        return "no spec/faults/clock.so beside the program"
    end
    local path = process.spill(process.directory() .. "/clock", ("i8"):pack(0))
    return {
        name = "the clock jumps", share = 8, mix = WAITERS,
        server = {
            workers = 2, store = "serve",
            environment = { -- ld.so(8) takes LD_PRELOAD apart at spaces
                LD_PRELOAD = "clock.so", LD_LIBRARY_PATH = directory, TLSLIFE_CLOCK_FILE = path,
            },
        },
        during = function(self)
            local i = 0
            while self:goes_on() do
                i = i % #JUMPS + 1
                self:fault(function()
                    local file <close> = assert(io.open(path, "r+b"))
                    file:write(("i8"):pack(JUMPS[i]))
                end, 0, 0)
                self:must_resume(("after a jump to %+d s"):format(JUMPS[i]))
                sleep(2)
            end
        end,
    }
end

-- ---------------------------------------------------------------------------------------- limits

local function in_shell(text)
    return { "sh", "-c", text .. ' && exec "$0" "$@"' }
end

local function wait(self)
    while self:goes_on() do sleep(0.1) end
end

function scenes.descriptors()
    return {
        name = "no descriptors left (ulimit -n 30)", share = 5, mix = ALL, during = wait,
        server = { workers = 2, store = "serve" }, command = in_shell "ulimit -n 30",
        says = "^warning: cannot accept a connection: Too many open files; trying again",
    }
end

-- Again and again a worker takes all memory that it gets, for a second.
local function hog(self)
    while self:goes_on() do
        self:fault(function()
            self.clients:connection(nil, function(life) self.clients:run(life, "hog", HOG) end)
        end, 0, 1, true)
        self:must_resume "after the memory was used up"
        sleep(2)
    end
end

-- Handlers and handshakes may say that there is no memory, in whatever words of Lua's or OpenSSL's.
function scenes.memory()
    return {
        name = "no memory left (ulimit -v)", share = 5, mix = HANDSHAKES, during = hog,
        keeps_memory = true, -- malloc keeps what lay below blocks that live, for others
        server = { workers = 2, store = "serve" }, command = in_shell "ulimit -v 400000",
        expected = { "not enough memory", "memory", "Cannot allocate memory" },
    }
end

-- The server becomes a member of a control group. The system kills a process that takes more than
-- the group's limit.
function scenes.control_group()
    local name, limit = unique "tlslife-faults", 128 << 20
    local made
    local limits = {
        ["/sys/fs/cgroup"] = "memory.max", ["/sys/fs/cgroup/memory"] = "memory.limit_in_bytes",
    }
    for root, file in pairs(limits) do
        local place = root .. "/" .. name
        local make = "exec 2>/dev/null; mkdir %s && [ -e %s/cgroup.procs ] && echo %d >%s/%s"
        if os.execute(make:format(place, place, limit, place, file)) then
            made = place
        else
            os.execute("rmdir " .. place .. " 2>/dev/null")
        end
    end
    if not made then return "there is no control group for memory here, or only root makes one" end
    return {
        name = "killed for memory (control group)", share = 4, mix = HANDSHAKES, during = hog,
        dies = true, server = { workers = 3, store = "serve" },
        command = in_shell(("echo $$ >%s/cgroup.procs"):format(made)),
        says = KILLED,
        finish = function() os.execute("rmdir " .. made) end,
    }
end

-- ------------------------------------------------------------------------------------------- disks

-- The words that run a command with a /dev/shm of its own, of so many KiB; nil where that is not
-- allowed.
local function own_memory_disk(kib)
    for _, words in ipairs { "unshare -m", "unshare -rm" } do
        local mount = ("mount -t tmpfs -o size=%dk tmpfs /dev/shm"):format(kib)
        if os.execute(("%s sh -c '%s' 2>/dev/null"):format(words, mount)) then
            local list = in_shell(mount)
            for word in words:reverse():gmatch "%S+" do table.insert(list, 1, word:reverse()) end
            return list
        end
    end
end

local NO_DISK <const> = "no mount namespaces here"

function scenes.no_room()
    local command = own_memory_disk(1024)
    return command and {
        name = "no room for a slab in /dev/shm", share = 3, mix = HANDSHAKES, during = wait,
        server = { workers = 2, store = "serve" }, command = command,
        says = "^warning: session ids resume at their own worker only: .*No space left",
    } or NO_DISK
end

-- The disk has a slab and a key log, and another process fills it and empties it.
function scenes.full()
    local command = own_memory_disk((17 << 10))
    return command and {
        name = "a slab and a key log on a full disk", share = 4, mix = HANDSHAKES,
        server = { workers = 2, store = "slab:" .. unique "faults", keylog = "/dev/shm/keys" },
        command = command,
        expected = { "No space left on device" },
        during = function(self)
            local path = ("/proc/%d/root/dev/shm/filling"):format(self:survivor())
            while self:goes_on() do
                self.faults = self.faults + 1
                os.execute(("head -c 4M /dev/zero >%s 2>/dev/null"):format(path))
                self:must_resume "while the disk is full"
                sleep(2)
                os.remove(path)
                sleep(1)
            end
        end,
    } or NO_DISK
end

return scenes
