# Builds spec/failing, a program in which the allocations and system calls of our own code go through
# functions of the program, which let one of them fail. The linker redirects the calls, so src is not
# compiled again.
tlslife_plain_programs(spec/failing)
target_link_libraries(known PRIVATE TlsLife::Interpreter)
set_target_properties(failing known PROPERTIES ENABLE_EXPORTS ON) # C modules of Lua, and names in stacks
foreach(name IN ITEMS malloc calloc realloc aligned_alloc strdup strndup free
        socket connect accept4 bind listen send recv poll setsockopt getsockopt getsockname
        getpeername getaddrinfo getnameinfo open shm_open mmap munmap posix_fallocate fstat stat lstat
        flock chmod fchmod fcntl read pread write pwrite writev ftruncate memfd_create madvise unlink
        shm_unlink getrandom pthread_create pthread_attr_init pthread_mutex_init pthread_mutexattr_init
        pipe2 timerfd_create timerfd_settime epoll_create1 epoll_ctl epoll_wait)
  target_link_options(failing PRIVATE -Wl,--wrap=${name})
endforeach()
if(TLSLIFE_HIREDIS_FOUND)
  target_compile_definitions(failing PRIVATE FAILING_HIREDIS)
  target_include_directories(failing SYSTEM PRIVATE ${TLSLIFE_HIREDIS_INCLUDE_DIRS})
  target_link_libraries(failing PRIVATE ${TLSLIFE_HIREDIS_LINK_LIBRARIES})
endif()
