-- LuaSec's module ssl.x509, on tlslife, for a program whose LUA_PATH begins with this folder.
require "tlslife.luasec"
return require "ssl.x509"
