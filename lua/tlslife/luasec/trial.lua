-- trial.lua: finds out whether a setting of the drop-in can be used. It tries the setting on a
-- context of ours that is dropped.
--
-- LuaSec gives each setting to OpenSSL as it comes, and so has an error for each. A context of ours
-- is made of all its settings at once.

local core = require "tlslife.core"

-- What OpenSSL says of a key that was loaded and is that of another certificate.
local ANOTHER_KEY <const> = {["key values mismatch"] = true, ["key type mismatch"] = true,
    ["different key types"] = true}

-- Any certificate, beside which a private key is loaded to see whether that works.
local ANY_CERTIFICATE <const> = [[
-----BEGIN CERTIFICATE-----
MIIBejCCASGgAwIBAgIUQWOcsJpJwTX/v9t/pb175OWpt10wCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHdGxzbGlmZTAgFw0yNjExMjkwMDM1NTdaGA8yMTI2MTEwNTAw
MzU1N1owEjEQMA4GA1UEAwwHdGxzbGlmZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABGUnn+EDXzqt2IWioc+OTy0ZmI6AAsPhwlNyS9bgs66DpPC/1HeWMqISlKLe
p5mvLYoeV0KdSbCJQfB/wInNBECjUzBRMB0GA1UdDgQWBBQNBF4KBRNVQksUQ963
C05Ph+SGpzAfBgNVHSMEGDAWgBQNBF4KBRNVQksUQ963C05Ph+SGpzAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGyW1J3F8hWIoPiKu2PdHCzbpDFd
nv+jTji+ER5DRFE9AiBPddBhgTZpPTyyx/fdL3sMCs4E2fsNuxWIK8leGYpwug==
-----END CERTIFICATE-----
]]

local trial = {}

-- The sentence of a failure as LuaSec has it: OpenSSL's reason, and ours where there is none.
function trial.why(message, err)
    local reason = err and err.code ~= "usage" and err.reason
    return reason or message
end

-- Makes a context of ours, or returns nil and why. What contradicts itself raises there, and is
-- an error value here.
function trial.attempt(options)
    local ok, made, message, err = pcall(core.context, options)
    if not ok then return nil, tostring(made) end
    if not made then return nil, trial.why(message, err), err end
    return made
end

-- Loads a key alone: OpenSSL's word for "the key of another certificate" means that it was loaded.
function trial.key(path, password)
    local made, message, err = trial.attempt {role = "client", certificate = ANY_CERTIFICATE,
        private_key = path, passphrase = password}
    if made then
        made:free()
        return true
    end
    if err and ANOTHER_KEY[err.reason] then return true end
    return nil, message
end

return trial
