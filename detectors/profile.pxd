# The types of profile.py for its compiled twin: constants, attributes, arguments and the numbers in its loops.
cimport cython

cdef long PEERS, PEER, SCALARS, IN0, OUT0, WIDTH, NUMBER, FIRST, IN_T, OUT_T
cdef long X_IN_T, X_OUT_T, IN_N, IN_S, OUT_N, OUT_S, X_IN_N, X_IN_S, X_OUT_N, X_OUT_S
cdef long COUNT_IN, COUNT_OUT, NEW_IN, NEW_OUT, MEAN_IN, MEAN_OUT, X_COUNT_IN, X_COUNT_OUT, X_MEAN_IN, X_MEAN_OUT
cdef long BAD_OUT, BAD_IN, GOOD, BAD_T, CURRENCY, GROUP, BINS, KINDS
cdef long TRAIL_MAX
cdef double TRAIL_HOPS, FAR, AGE, NEAR, WIDE, MEAN_OVER


cdef class Profiles:
    cdef public long size_max, size
    cdef public object store, out, wide_store, grid_store, decay_store, way_store
    cdef float[::1] rows
    cdef float[::1] x
    cdef double[::1] wide, grid, decay, way

    @cython.locals(slot=cython.long, at=cython.long, i=cython.long)
    cpdef object open(self, long number, double days)
    @cython.locals(size=cython.long)
    cpdef object grow(self, long slot)
    cdef long slot(self, long number) noexcept
    @cython.locals(k=cython.double, i=cython.long, f=cython.double)
    cpdef double fade(self, double days, double horizon) noexcept
    @cython.locals(i=cython.long)
    cdef long find(self, long base, double peer) noexcept
    @cython.locals(i=cython.long, new=cython.long, count=cython.double, to=cython.long)
    cdef long note(self, long base, long peer, double days, double amount) noexcept
    @cython.locals(since=cython.double, horizon=cython.double, left=cython.double, k=cython.long)
    cdef void flow(self, long at, long counts, long sums, long last, double amount, double days) noexcept
    @cython.locals(n=cython.double)
    cdef void usual(self, long at, long count, long mean, double amount) noexcept
    @cython.locals(u=cython.long, v=cython.long, b=cython.long)
    cpdef object pay(self, long payer, long payee, double amount, double days, long currency)
    @cython.locals(at=cython.long, last=cython.long, count=cython.long, left=cython.double)
    cpdef object outside(self, long number, double amount, double days, bint is_in)
    @cython.locals(u=cython.long, v=cython.long)
    cpdef object confirm(self, long payer, long payee, long currency, bint is_bad, double days)
    cdef void outcome(self, long at, long bad, bint is_bad, double days) noexcept
    @cython.locals(u=cython.long, v=cython.long, j=cython.long)
    cpdef object features(self, long payer, long payee, double amount, double days, long kind, long currency, double balance)
    @cython.locals(low=cython.long, high=cython.long, middle=cython.long)
    cdef long bin(self, double amount) noexcept
    @cython.locals(b=cython.long, below=cython.double, total=cython.double, zeros=cython.double, left=cython.double, its=cython.long, i=cython.long)
    cdef long terms(self, long v, double amount, long kind, long currency, double balance) noexcept
    @cython.locals(total=cython.double)
    cdef double currency_share(self, long currency) noexcept
    cdef double currency_risk(self, long currency) noexcept
    @cython.locals(one=cython.double, seven=cython.double, thirty=cython.double, age=cython.double, i=cython.long)
    cdef long windows(self, long base, double days, long j) noexcept
    @cython.locals(since_in=cython.double, since_out=cython.double, horizon=cython.double, left_in=cython.double, left_out=cython.double, came=cython.double, went=cython.double, age=cython.double, count_in=cython.double, count_out=cython.double, k=cython.long)
    cdef long habits(self, long at, double amount, double days, long j) noexcept
    @cython.locals(since_in=cython.double, since_out=cython.double, left_in=cython.double, left_out=cython.double, came=cython.double, went=cython.double, bad=cython.double, since=cython.double)
    cdef long beyond(self, long at, double amount, double days, long j) noexcept
    @cython.locals(bad=cython.double, count=cython.double, fan_out=cython.double, fan_in=cython.double, b=cython.long, peer=cython.long, q=cython.long, went=cython.double, came=cython.double, i=cython.long)
    cdef long company(self, long base, double days, long j) noexcept
    @cython.locals(best=cython.double, best_age=cython.double, ratio=cython.double, three=cython.double, fourteen=cython.double, b=cython.long, age=cython.double, got=cython.double, match=cython.double, i=cython.long)
    cdef long passing(self, long base, double amount, double days, long j) noexcept
    @cython.locals(i=cython.long, b=cython.long)
    cdef long pair(self, long u, long payee, double amount, double days, long j) noexcept
    @cython.locals(near=cython.double, wide=cython.double, b=cython.long, other=cython.long, q=cython.long, c=cython.long, m=cython.long, last=cython.double, i=cython.long, k=cython.long)
    cdef void structure(self, long u, long v, long payer, long payee, double days, long j) noexcept
    @cython.locals(common=cython.double, cycle=cython.double, shortcut=cython.double, b=cython.long, other=cython.long, q=cython.long, c=cython.long, far=cython.long, w=cython.long, i=cython.long, k=cython.long)
    cdef void sources(self, long u, long v, long payer, long payee, double days, long j) noexcept
    @cython.locals(i=cython.long)
    cdef bint is_recent(self, long base, long peer, double days) noexcept
    @cython.locals(count=cython.long, at=cython.long, ring=cython.double, since=cython.double, bad=cython.double, steps=cython.double, who=cython.long, before=cython.double, q=cython.long, b=cython.long, other=cython.long, i=cython.long)
    cdef void trail(self, long payer, long payee, double days, long j) noexcept
    @cython.locals(i=cython.long)
    cdef bint is_fresh(self, long other, long count) noexcept
