-- LuaSec's module ssl.context, on tlslife, for a program whose LUA_PATH begins with this folder.
require "tlslife.luasec"
return require "ssl.context"
