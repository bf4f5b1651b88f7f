-- For a program that finds this folder in front of LUA_PATH: LuaSec's ssl.x509, on tlslife.
require "tlslife.luasec"
return require "ssl.x509"
