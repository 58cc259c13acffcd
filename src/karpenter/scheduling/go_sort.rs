//! Go's `sort.Slice`, element by element: an unstable sort whose outcome among equal elements is part of Karpenter's behaviour.
//!
//! Up to 12 elements it is insertion sort, hence stable. Beyond that it is pattern-defeating quicksort as in Go 1.19 and later
//! (`src/sort/zsortfunc.go: pdqsort_func`), which permutes equal elements in a fixed way.

const LONGEST_INSERTION: usize = 12;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

/// Sorts `items` as `sort.Slice` does.
pub fn sort_slice<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let depth = usize::BITS - items.len().leading_zeros();
    let end = items.len();
    Sorter { items, less }.quick_sort(0, end, depth);
}

struct Sorter<'a, T, L: Fn(&T, &T) -> bool> {
    items: &'a mut [T],
    less: L,
}

impl<T, L: Fn(&T, &T) -> bool> Sorter<'_, T, L> {
    fn less(&self, i: usize, j: usize) -> bool {
        (self.less)(&self.items[i], &self.items[j])
    }

    fn quick_sort(&mut self, mut start: usize, mut end: usize, mut depth: u32) {
        let mut balanced = true;
        let mut partitioned = true;
        loop {
            let length = end - start;
            if length <= LONGEST_INSERTION {
                return self.insertion_sort(start, end);
            }
            if depth == 0 {
                return self.heap_sort(start, end);
            }
            if !balanced {
                self.break_patterns(start, end);
                depth -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(start, end);
            if hint == Hint::Decreasing {
                self.items[start..end].reverse();
                pivot = (end - 1) - (pivot - start);
                hint = Hint::Increasing;
            }
            if balanced && partitioned && hint == Hint::Increasing && self.partial_insertion_sort(start, end) {
                return;
            }
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.partition_equal(start, end, pivot);
                continue;
            }
            let (middle, already) = self.partition(start, end, pivot);
            partitioned = already;
            let (left, right) = (middle - start, end - middle);
            if left < right {
                balanced = left >= length / 8;
                self.quick_sort(start, middle, depth);
                start = middle + 1;
            } else {
                balanced = right >= length / 8;
                self.quick_sort(middle + 1, end, depth);
                end = middle;
            }
        }
    }

    fn insertion_sort(&mut self, start: usize, end: usize) {
        for i in start + 1..end {
            let mut j = i;
            while j > start && self.less(j, j - 1) {
                self.items.swap(j, j - 1);
                j -= 1;
            }
        }
    }

    fn heap_sort(&mut self, start: usize, end: usize) {
        let length = end - start;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift_down(root, length, start);
        }
        for last in (0..length).rev() {
            self.items.swap(start, start + last);
            self.sift_down(0, last, start);
        }
    }

    fn sift_down(&mut self, mut root: usize, length: usize, first: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.items.swap(first + root, first + child);
            root = child;
        }
    }

    /// Elements below the pivot to its left, the others to its right. Returns its place and whether nothing had to move.
    fn partition(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.items.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        self.close_in(start, &mut low, &mut high);
        if low > high {
            self.items.swap(high, start);
            return (high, true);
        }
        while low <= high {
            self.items.swap(low, high);
            low += 1;
            high -= 1;
            self.close_in(start, &mut low, &mut high);
        }
        self.items.swap(high, start);
        (high, false)
    }

    fn close_in(&self, pivot: usize, low: &mut usize, high: &mut usize) {
        while *low <= *high && self.less(*low, pivot) {
            *low += 1;
        }
        while *low <= *high && !self.less(*high, pivot) {
            *high -= 1;
        }
    }

    /// Elements equal to the pivot to the left, larger ones to the right; none is smaller.
    fn partition_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.items.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        loop {
            while low <= high && !self.less(start, low) {
                low += 1;
            }
            while low <= high && self.less(start, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Puts up to five misplaced elements right; whether the range is sorted then.
    fn partial_insertion_sort(&mut self, start: usize, end: usize) -> bool {
        const MOST_STEPS: usize = 5;
        const SHORTEST_SHIFTING: usize = 50;
        let mut i = start + 1;
        for _ in 0..MOST_STEPS {
            while i < end && !self.less(i, i - 1) {
                i += 1;
            }
            if i == end {
                return true;
            }
            if end - start < SHORTEST_SHIFTING {
                return false;
            }
            self.items.swap(i, i - 1);
            if i - start >= 2 {
                let mut j = i - 1;
                while j >= 1 && self.less(j, j - 1) {
                    self.items.swap(j, j - 1);
                    j -= 1;
                }
            }
            if end - i >= 2 {
                let mut j = i + 1;
                while j < end && self.less(j, j - 1) {
                    self.items.swap(j, j - 1);
                    j += 1;
                }
            }
        }
        false
    }

    /// Scatters three elements by a fixed pseudo-random sequence (xorshift seeded with the length).
    fn break_patterns(&mut self, start: usize, end: usize) {
        let length = end - start;
        if length < 8 {
            return;
        }
        let mut state = length as u64;
        let mask = (1_u64 << (u64::BITS - (length as u64).leading_zeros())) - 1;
        let centre = start + (length / 4) * 2;
        for index in centre - 1..=centre + 1 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut other = (state & mask) as usize;
            if other >= length {
                other -= length;
            }
            self.items.swap(index, start + other);
        }
    }

    fn choose_pivot(&self, start: usize, end: usize) -> (usize, Hint) {
        const SHORTEST_NINTHER: usize = 50;
        const MOST_SWAPS: usize = 12;
        let length = end - start;
        let mut swaps = 0;
        let (mut i, mut j, mut k) = (start + length / 4, start + length / 4 * 2, start + length / 4 * 3);
        if length >= 8 {
            if length >= SHORTEST_NINTHER {
                i = self.median(i - 1, i, i + 1, &mut swaps);
                j = self.median(j - 1, j, j + 1, &mut swaps);
                k = self.median(k - 1, k, k + 1, &mut swaps);
            }
            j = self.median(i, j, k, &mut swaps);
        }
        match swaps {
            0 => (j, Hint::Increasing),
            MOST_SWAPS => (j, Hint::Decreasing),
            _ => (j, Hint::Unknown),
        }
    }

    fn median(&self, a: usize, b: usize, c: usize, swaps: &mut usize) -> usize {
        let (a, b) = self.in_order(a, b, swaps);
        let (b, _) = self.in_order(b, c, swaps);
        self.in_order(a, b, swaps).1
    }

    fn in_order(&self, a: usize, b: usize, swaps: &mut usize) -> (usize, usize) {
        if self.less(b, a) {
            *swaps += 1;
            (b, a)
        } else {
            (a, b)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

    fn fold(hash: u64, word: u64) -> u64 {
        (hash ^ word).wrapping_mul(0x0100_0000_01b3)
    }

    /// The permutations of 400 arrays (up to 1500 elements, few distinct keys, partly sorted), folded into one number, as Go 1.26
    /// leaves them, and after as many comparisons.
    #[test]
    fn equal_elements_end_where_go_leaves_them() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut all, asked) = (BASIS, Cell::new(0));
        for case in 0..400 {
            let mut length = (next() % 120) as usize;
            if case % 10 == 0 {
                length = (next() % 1500) as usize;
            }
            let distinct = (next() % 20) as usize + 1;
            let mode = next() % 5;
            let mut items: Vec<(usize, usize)> = Vec::new();
            for i in 0..length {
                let random = (next() % distinct as u64) as usize;
                let key = match mode {
                    1 => i / distinct,
                    2 => (length - i) / distinct,
                    3 => i / distinct + usize::from(next() % 30 == 0),
                    4 => i % distinct,
                    _ => random,
                };
                items.push((key, i));
            }
            sort_slice(&mut items, |a, b| {
                asked.set(asked.get() + 1);
                a.0 < b.0
            });
            assert!(items.is_sorted_by_key(|item| item.0));
            let hash = items.iter().fold(BASIS, |hash, item| fold(hash, item.1 as u64));
            all = fold(all, hash);
        }
        assert_eq!((all, asked.get()), (14_078_418_688_801_841_790, 205_622));
    }

    /// A comparison that contradicts itself splits so badly that the heap has to do it; what Go 1.26 leaves and how often it compares.
    #[test]
    fn bad_splits_end_in_the_heap_as_go_does_it() {
        let (mut all, asked) = (BASIS, Cell::new(0_u64));
        for length in [12, 13, 30, 49, 50, 51, 100, 400] {
            for often in 0..=16_u64 {
                let mut items: Vec<u64> = (0..length).collect();
                sort_slice(&mut items, |a, b| {
                    asked.set(asked.get() + 1);
                    (fold(fold(often, *a), *b) >> 40) % 16 < often
                });
                all = items.iter().fold(all, |hash, item| fold(hash, *item));
            }
        }
        assert_eq!((all, asked.get()), (3_351_444_363_202_785_614, 122_548));
    }
}
