# The types of novelty.py for its compiled twin.
cimport cython

cdef long COUNT, BINS
cdef double MEMORY, HALVINGS_MAX


cdef class Novelty:
    cdef public long groups_max
    cdef public object count_store, total_store, said_store, place_store, share_store
    cdef double[::1] counts, totals, said
    cdef int[::1] place, is_share

    @cython.locals(i=cython.long)
    cpdef object clear(self, long group)
    cpdef double total(self, long group)
    @cython.locals(total=cython.double, f=cython.long)
    cpdef double ask(self, long group, float[::1] x)
    @cython.locals(i=cython.long, f=cython.long)
    cpdef object see(self, long group, float[::1] x)
    @cython.locals(half=cython.double, below=cython.double, at=cython.long, b=cython.long)
    cpdef double usual(self, long group, long figure)
    @cython.locals(b=cython.long, doublings=cython.double, left=cython.double)
    cdef long bin(self, long figure, double value) noexcept
    @cython.locals(left=cython.double, _=cython.long)
    cdef double value(self, long b) noexcept
    @cython.locals(at=cython.long, i=cython.long, below=cython.double, above=cython.double, share=cython.double, halvings=cython.double)
    cdef double tail(self, long group, long figure, long b) noexcept
