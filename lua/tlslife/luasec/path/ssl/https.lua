-- For a program that finds this folder in front of LUA_PATH: LuaSec's ssl.https, on tlslife.
require "tlslife.luasec"
return require "ssl.https"
