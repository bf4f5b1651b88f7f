-- LuaSec's module ssl.https, on tlslife, for a program whose LUA_PATH begins with this folder.
require "tlslife.luasec"
return require "ssl.https"
