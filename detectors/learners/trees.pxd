# The types of trees.py for its compiled twin.
cimport cython


cdef class Trees:
    cdef public long trees_max, depth, inner, leaves, count
    cdef public object feature_store, threshold_store, value_store, cover_store
    cdef int[::1] feature
    cdef float[::1] threshold
    cdef double[::1] value
    cdef float[::1] x, last

    cpdef object bind(self, float[::1] last)
    cpdef double ask_last(self)
    @cython.locals(total=cython.double, tree=cython.long)
    cpdef double ask(self, float[::1] vector)
    cpdef double ask_one(self, long tree, float[::1] vector)
    @cython.locals(i=cython.long, at=cython.long, _=cython.long)
    cdef long leaf(self, long tree) noexcept
    @cython.locals(number=cython.long, r=cython.long, at=cython.long, base=cython.long, k=cython.long, cell=cython.long)
    cpdef object sums(
        self, unsigned char[::1] codes, int[::1] rows, int[::1] columns, int[::1] nodes, double[::1] slopes,
        double[::1] weights, long width, long bins, double[::1] slope_sums, double[::1] weight_sums,
    )
