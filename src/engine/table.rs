//! Things by small numbers that come and go.

/// How many numbers share a page.
const PAGE: usize = 16;

/// The thing of each number, where there is one. Numbers that follow each other share a page, which is there as long as one of them
/// has a thing: for numbers that are given in order this takes about half of what a sorted tree does.
#[derive(Clone, Debug)]
pub struct Table<T> {
    pages: Vec<Option<Box<Page<T>>>>,
}

#[derive(Clone, Debug)]
struct Page<T> {
    things: [Option<T>; PAGE],
    count: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { pages: Vec::new() }
    }
}

impl<T> Table<T> {
    /// Gives the number a thing, instead of the one that it may have.
    pub fn insert(&mut self, number: u32, thing: T) {
        let (page, place) = place_of(number);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let new = || Box::new(Page { things: std::array::from_fn(|_| None), count: 0 });
        let page = self.pages[page].get_or_insert_with(new);
        page.count += usize::from(page.things[place].replace(thing).is_none());
    }

    /// Takes the thing of a number away.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let (page, place) = place_of(number);
        let slot = self.pages.get_mut(page)?;
        let page = slot.as_mut()?;
        let thing = page.things[place].take()?;
        page.count -= 1;
        if page.count == 0 {
            *slot = None;
        }
        Some(thing)
    }

    /// The thing of a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&T> {
        let (page, place) = place_of(number);
        self.pages.get(page)?.as_ref()?.things[place].as_ref()
    }

    /// The thing of a number, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (page, place) = place_of(number);
        self.pages.get_mut(page)?.as_mut()?.things[place].as_mut()
    }

    /// Whether the number has a thing.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        self.get(number).is_some()
    }

    /// All things with their numbers, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let pages = self.pages.iter().enumerate().filter_map(|(page, things)| Some((page * PAGE, things.as_ref()?)));
        pages.flat_map(|(first, page)| {
            let things = page.things.iter().enumerate();
            things.filter_map(move |(place, thing)| Some(((first + place) as u32, thing.as_ref()?)))
        })
    }
}

fn place_of(number: u32) -> (usize, usize) {
    (number as usize / PAGE, number as usize % PAGE)
}

/// The thing of a number that has one.
impl<T> std::ops::Index<u32> for Table<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        self.get(number).expect("a number that has a thing")
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn things_are_found_by_their_numbers_and_their_pages_go_with_them() {
        let mut table = Table::default();
        for number in [30, 0, 70] {
            table.insert(number, number * 10);
        }
        table.insert(30, 301);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(0, &0), (30, &301), (70, &700)]);
        assert_eq!((table.remove(0), table.remove(0), table.remove(99)), (Some(0), None, None));
        table.insert(31, 310);
        *table.get_mut(70).expect("there") += 1;
        assert_eq!(table.iter().collect::<Vec<_>>(), [(30, &301), (31, &310), (70, &701)]);
        assert_eq!((table.contains(0), table.get(31), table[70]), (false, Some(&310), 701));
        table.remove(30);
        let pages = |table: &Table<u32>| table.pages.iter().flatten().count();
        assert_eq!((table.get(31), pages(&table)), (Some(&310), 2));
        table.remove(31);
        assert_eq!(pages(&table), 1);
    }
}
