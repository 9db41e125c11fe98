# SPDX-License-Identifier: LGPL-2.1-or-later
"""The addresses of this machine's network interfaces, from the C library."""

cdef extern from "<netinet/in.h>" nogil:
    enum:
        AF_INET
        AF_INET6

    struct in_addr:
        pass

    struct in6_addr:
        pass

    struct sockaddr:
        unsigned short sa_family

    struct sockaddr_in:
        in_addr sin_addr

    struct sockaddr_in6:
        in6_addr sin6_addr

cdef extern from "<net/if.h>" nogil:
    enum:
        IFF_UP

cdef extern from "<ifaddrs.h>" nogil:
    ctypedef struct ifaddrs_t "struct ifaddrs":
        ifaddrs_t *ifa_next
        unsigned int ifa_flags
        sockaddr *ifa_addr

    int getifaddrs(ifaddrs_t **found)
    void freeifaddrs(ifaddrs_t *found)
