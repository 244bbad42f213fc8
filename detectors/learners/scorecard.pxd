# The types of scorecard.py for its compiled twin.
cimport cython

cdef long _GROUP, _MATCH, _MATCH_AGE, _MATCH_RATIO, _RANK, _COLLECTS, _BURST, _PAYEE_BURST
cdef long _COMMON, _SPENDS, _PAYEE_SPENDS, _AGE, _PAYEE_AGE, _PAIR, _KIND, _OVER, _RECEIVES, _FUNDED, _KNOWN, _PAYEE_KNOWN, _NEAR, _PAYEE_NEAR, _NOVEL


cdef class Scorecard:
    cdef public object terms_store, weights_store
    cdef double[::1] terms, weights
    cdef float[::1] last
    cdef public long number
    cdef public double bias, spends, seen

    cpdef object bind(self, float[::1] last)
    cpdef double ask_last(self)
    cpdef object see_last(self)
    @cython.locals(total=cython.double, i=cython.long)
    cpdef double ask(self, float[::1] x)
    @cython.locals(mean=cython.double)
    cpdef object see(self, float[::1] x)
    @cython.locals(large=cython.double, passed=cython.double, over=cython.double)
    cdef void fill(self, float[::1] x) noexcept
    cdef double idle(self, double spends, double age) noexcept
