// Threads that share the pieces of one phase after another.
//
// A piece belongs to whoever claims it first, and a phase ends when its pieces are done, not when every thread has
// come by: a thread that the system has put aside, since a screen is being drawn, holds up nothing but the piece it is on.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>
#include <sched.h>

static inline void breathe() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

class Pool {
public:
    explicit Pool(int threads) {
        for (int i = 1; i < threads; i++) helpers_.emplace_back([this] { help(); });
    }

    ~Pool() {
        {
            std::lock_guard<std::mutex> guard(mutex_);
            closing_ = true;
        }
        awake_.notify_all();
        for (auto& helper : helpers_) helper.join();
    }

    int threads() const { return int(helpers_.size()) + 1; }

    // Phases follow: helpers stay awake between them until `rest`.
    void wake() {
        if (helpers_.empty()) return;
        {
            std::lock_guard<std::mutex> guard(mutex_);
            working_.store(true, std::memory_order_relaxed);
        }
        awake_.notify_all();
    }

    void rest() { working_.store(false, std::memory_order_relaxed); }

    // Do `piece(0)` to `piece(pieces - 1)`, in any order, on any thread.
    template <class Piece>
    void run(int pieces, const Piece& piece) {
        if (helpers_.empty() || pieces <= 1) {
            for (int i = 0; i < pieces; i++) piece(i);
            return;
        }
        call_ = [](const void* what, int i) { (*static_cast<const Piece*>(what))(i); };
        what_ = &piece;
        done_.store(0, std::memory_order_relaxed);
        uint64_t phase = (ticket_.load(std::memory_order_relaxed) >> 40) + 1;
        ticket_.store(phase << 40 | uint64_t(pieces) << 20, std::memory_order_release);
        while (claim()) {}
        for (int spins = 0; done_.load(std::memory_order_acquire) < pieces; spins++) {
            if (spins < 4000) breathe();
            else sched_yield();  // whoever has the last piece may need this very core
        }
    }

private:
    // Number of the phase (24 bits), its pieces (20), the next one to be claimed (20): one word, so that a claim
    // can only ever be of the phase whose pieces it was checked against.
    std::atomic<uint64_t> ticket_{0};
    std::atomic<int> done_{0};
    void (*call_)(const void*, int) = nullptr;
    const void* what_ = nullptr;
    std::atomic<bool> working_{false};
    bool closing_ = false;
    std::mutex mutex_;
    std::condition_variable awake_;
    std::vector<std::thread> helpers_;

    bool claim() {
        uint64_t ticket = ticket_.load(std::memory_order_acquire);
        for (;;) {
            int next = int(ticket & 0xfffff), pieces = int(ticket >> 20 & 0xfffff);
            if (next >= pieces) return false;
            if (ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
                call_(what_, next);
                done_.fetch_add(1, std::memory_order_release);
                return true;
            }
        }
    }

    void help() {
        for (;;) {
            {
                std::unique_lock<std::mutex> lock(mutex_);
                awake_.wait(lock, [this] { return closing_ || working_.load(std::memory_order_relaxed); });
                if (closing_) return;
            }
            for (int idle = 0; working_.load(std::memory_order_relaxed);) {
                if (claim()) idle = 0;
                else if (++idle < 20000) breathe();
                else sched_yield();
            }
        }
    }
};
