-- For a program that finds this folder in front of LUA_PATH: LuaSec's ssl.config, on tlslife.
require "tlslife.luasec"
return require "ssl.config"
