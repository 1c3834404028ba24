//! Which pictures are learned from, which are chosen by, and which are tested on.
//!
//! A split is drawn from a seed, class by class in the same proportion, and keeps together what belongs together. It is
//! written down by the pictures' names ([`Listing`]), so that it can be repeated, read and compared.
//!
//! ```no_run
//! use zoo_data::{Part, Shares, Split, open};
//!
//! // `google-1f600.png` and `twitter-1f600.png` show the same face, and go to the same side.
//! let data = open("emoji".as_ref())?;
//! let shares = Shares { seed: 7, group_by: Some("*-(*).png".parse()?), ..Shares::default() };
//! let (split, findings) = Split::draw(&*data, &shares)?;
//! let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
//! let test = split.subset(data, Part::Test)?;
//! # Ok::<(), zoo_data::Error>(())
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zoo_base::random;

use crate::{Dataset, Error, Finding, Fingerprint, Part, Pattern, Result, Subset, counts};

/// Beyond this, how unlike the sizes of classes are is worth saying.
const IMBALANCE: usize = 10;

/// How a data set is parted, where it doesn't say so itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// The share of the pictures to choose by, from 0 to below 1.
    pub validation: f64,
    /// The share to be tested on.
    pub test: f64,
    /// What decides who goes where.
    pub seed: u64,
    /// What belongs together, by the names of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Pattern>,
}

impl Default for Shares {
    fn default() -> Shares {
        Shares { validation: 0.15, test: 0.15, seed: 0, group_by: None }
    }
}

/// A data set in its parts: the places of the pictures, in ascending order within each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// To learn from.
    pub train: Vec<usize>,
    /// To choose by.
    pub validation: Vec<usize>,
    /// To be tested on.
    pub test: Vec<usize>,
}

/// A split as it is written down: by the names of the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Of the data that was split.
    pub fingerprint: Fingerprint,
    /// How it was split.
    pub shares: Shares,
    /// Names of the pictures to learn from,
    pub train: Vec<String>,
    /// to choose by,
    pub validation: Vec<String>,
    /// to be tested on.
    pub test: Vec<String>,
}

impl Split {
    /// Splits `data`. Parts that the data itself names stay as they are; of those that it doesn't, the wanted share of
    /// the rest is drawn, of each class alike, to the nearest whole group. No part gets a class's last group but the
    /// train part, and each gets one at least where there are enough. Who goes where depends on the seed and the
    /// pictures' names, or their groups', so that adding pictures moves few others.
    ///
    /// # Errors
    /// Shares that can't be taken, a pattern that matches no name, a class to be tested on that can't be learned.
    pub fn draw(data: &dyn Dataset, shares: &Shares) -> Result<(Split, Vec<Finding>)> {
        let Shares { validation, test, .. } = *shares;
        let possible = |share: f64| (0.0..1.0).contains(&share);
        if !possible(validation) || !possible(test) || validation + test >= 1.0 {
            return Err(Error::Shares { validation, test });
        }
        let mut findings = Vec::new();
        let keys = keys(data, shares.group_by.as_ref(), &mut findings)?;
        let mut parts: Vec<Part> = (0..data.len()).map(|at| data.part(at).unwrap_or(Part::Train)).collect();
        leaks(data, &keys, &mut findings);
        let drawn = [(Part::Test, test), (Part::Validation, validation)];
        let drawn: Vec<(Part, f64)> =
            drawn.into_iter().filter(|(part, share)| *share > 0.0 && !parts.contains(part)).collect();
        if !drawn.is_empty() {
            distribute(data, &keys, shares.seed, &drawn, &mut parts);
        }
        let mut split = Split::default();
        for (index, part) in parts.iter().enumerate() {
            split.part_mut(*part).push(index);
        }
        split.judge(data, &keys, &mut findings)?;
        Ok((split, findings))
    }

    /// The places of a part's pictures.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    fn part_mut(&mut self, part: Part) -> &mut Vec<usize> {
        match part {
            Part::Train => &mut self.train,
            Part::Validation => &mut self.validation,
            Part::Test => &mut self.test,
        }
    }

    /// A part's pictures as a data set.
    ///
    /// # Errors
    /// [`Error::NoSuchPicture`] if `data` isn't what was split.
    pub fn subset(&self, data: Arc<dyn Dataset>, part: Part) -> Result<Subset> {
        Subset::new(data, self.part(part).to_vec())
    }

    /// The split as it is written down.
    ///
    /// # Errors
    /// As [`Dataset::fingerprint`]; [`Error::NoSuchPicture`] if `data` isn't what was split.
    pub fn listing(&self, data: &dyn Dataset, shares: &Shares) -> Result<Listing> {
        let names = |part: &[usize]| {
            let name = |&index: &usize| match index < data.len() {
                true => Ok(data.name(index)),
                false => Err(Error::NoSuchPicture { index, pictures: data.len() }),
            };
            part.iter().map(name).collect::<Result<Vec<_>>>()
        };
        Ok(Listing {
            fingerprint: data.fingerprint()?,
            shares: shares.clone(),
            train: names(&self.train)?,
            validation: names(&self.validation)?,
            test: names(&self.test)?,
        })
    }

    /// What is worth saying of the parts and the sizes of classes.
    fn judge(&self, data: &dyn Dataset, keys: &[String], findings: &mut Vec<Finding>) -> Result<()> {
        let classes = data.classes();
        let count = |part: &[usize]| {
            let mut counts = vec![0; classes.len()];
            part.iter().for_each(|&index| counts[data.label(index)] += 1);
            counts
        };
        let of_parts = Part::ALL.map(|part| (part, count(self.part(part))));
        let mut groups = vec![BTreeSet::new(); classes.len()];
        (0..data.len()).for_each(|index| {
            groups[data.label(index)].insert(keys[index].as_str());
        });
        let all = counts(data);
        for (class, name) in classes.iter().enumerate() {
            let tested = of_parts.iter().skip(1).find(|(_, counts)| counts[class] > 0);
            if let Some((part, _)) = tested
                && of_parts[0].1[class] == 0
                && !self.train.is_empty()
            {
                return Err(Error::NothingToLearn { class: name.clone(), part: *part });
            }
            match all[class] {
                0 => {}
                1 => findings.push(Finding::SinglePicture {
                    class: name.clone(),
                    name: (0..data.len())
                        .find(|&at| data.label(at) == class)
                        .map(|at| data.name(at))
                        .unwrap_or_default(),
                }),
                _ => {
                    let lacking = of_parts
                        .iter()
                        .filter(|(part, counts)| counts[class] == 0 && !self.part(*part).is_empty());
                    findings.extend(lacking.map(|(part, _)| Finding::Missing {
                        class: name.clone(),
                        part: *part,
                        groups: groups[class].len(),
                    }));
                }
            }
        }
        let present = || all.iter().zip(classes).filter(|(count, _)| **count > 0);
        if let (Some(most), Some(fewest)) = (present().max_by_key(|c| c.0), present().min_by_key(|c| c.0))
            && *most.0 > IMBALANCE * fewest.0
        {
            let named = |(count, name): (&usize, &String)| (name.clone(), *count);
            findings.push(Finding::Imbalanced { most: named(most), fewest: named(fewest) });
        }
        Ok(())
    }
}

impl Listing {
    /// The split of `data` that is written here.
    ///
    /// # Errors
    /// A picture that the data doesn't have, or that stands in two parts.
    pub fn resolve(&self, data: &dyn Dataset) -> Result<(Split, Vec<Finding>)> {
        let mut places: HashMap<String, usize> =
            (0..data.len()).map(|index| (data.name(index), index)).collect();
        let mut seen = BTreeSet::new();
        let mut find = |names: &[String]| {
            let place = |name: &String| match (seen.insert(name.clone()), places.remove(name)) {
                (false, _) => Err(Error::SplitTwice { name: name.clone() }),
                (true, None) => Err(Error::SplitMismatch { name: name.clone() }),
                (true, Some(place)) => Ok(place),
            };
            let mut found = names.iter().map(place).collect::<Result<Vec<_>>>()?;
            found.sort_unstable();
            Ok::<_, Error>(found)
        };
        let (train, validation, test) = (find(&self.train)?, find(&self.validation)?, find(&self.test)?);
        let mut findings = Vec::new();
        if let Some((first, _)) = places.iter().min_by_key(|(_, place)| **place) {
            findings.push(Finding::Unsplit { count: places.len(), first: first.clone() });
        }
        Ok((Split { train, validation, test }, findings))
    }
}

/// The group of each picture. What has none is a group of its own, by its name.
fn keys(data: &dyn Dataset, pattern: Option<&Pattern>, findings: &mut Vec<Finding>) -> Result<Vec<String>> {
    let names: Vec<String> = (0..data.len()).map(|index| data.name(index)).collect();
    let mut unmatched = Vec::new();
    let mut key = |(index, name): (usize, &String)| {
        if let Some(pattern) = pattern {
            match pattern.group(name) {
                Some(group) => return format!("group {group}"),
                None => unmatched.push(index),
            }
        }
        data.group(index).map_or_else(|| format!("picture {name}"), |group| format!("group {group}"))
    };
    let keys: Vec<String> = names.iter().enumerate().map(&mut key).collect();
    if let (Some(pattern), Some(&first)) = (pattern, unmatched.first()) {
        let (pattern, first, count) = (pattern.to_string(), names[first].clone(), unmatched.len());
        if count == names.len() {
            return Err(Error::PatternUnmatched { pattern, count, first });
        }
        findings.push(Finding::Ungrouped { pattern, count, first });
    }
    Ok(keys)
}

/// Groups that the data itself puts into two parts.
fn leaks(data: &dyn Dataset, keys: &[String], findings: &mut Vec<Finding>) {
    let mut parts: HashMap<&str, Part> = HashMap::new();
    let mut leaking = BTreeMap::new();
    for (index, key) in keys.iter().enumerate() {
        let part = data.part(index).unwrap_or(Part::Train);
        let first = *parts.entry(key).or_insert(part);
        if first != part {
            leaking.entry(key.as_str()).or_insert((first, part));
        }
    }
    if let Some((key, parts)) = leaking.first_key_value() {
        let first = key.trim_start_matches("group ").to_string();
        findings.push(Finding::Leak { count: leaking.len(), first, parts: *parts });
    }
}

/// Takes whole groups out of the train part, in an order that the seed decides, as long as that brings a part nearer to
/// its share of each class.
fn distribute(data: &dyn Dataset, keys: &[String], seed: u64, drawn: &[(Part, f64)], parts: &mut [Part]) {
    let mut groups: BTreeMap<(u64, &str), Vec<usize>> = BTreeMap::new();
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| parts[*index] == Part::Train) {
        groups.entry((hash(seed, key.as_bytes()), key)).or_default().push(index);
    }
    let classes = data.classes().len();
    let of_classes = |members: &[usize]| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        members.iter().for_each(|&index| *counts.entry(data.label(index)).or_default() += 1);
        counts
    };
    let (mut pictures, mut left) = (vec![0; classes], vec![0usize; classes]);
    for members in groups.values() {
        for (class, count) in of_classes(members) {
            pictures[class] += count;
            left[class] += 1;
        }
    }
    let enough: Vec<bool> = left.iter().map(|&groups| groups > drawn.len()).collect();
    let mut have = vec![vec![0usize; classes]; drawn.len()];
    for members in groups.values() {
        let counts = of_classes(members);
        if counts.keys().any(|&class| left[class] < 2) {
            continue;
        }
        for ((part, share), have) in drawn.iter().zip(&mut have) {
            let gain = |(&class, &count): (&usize, &usize)| {
                let missing = share * pictures[class] as f64 - have[class] as f64;
                missing.abs() - (missing - count as f64).abs()
            };
            let first = counts.keys().any(|&class| enough[class] && have[class] == 0);
            if first || counts.iter().map(gain).sum::<f64>() > 0.0 {
                members.iter().for_each(|&index| parts[index] = *part);
                for (class, count) in counts {
                    have[class] += count;
                    left[class] -= 1;
                }
                break;
            }
        }
    }
}

/// FNV-1a over the bytes, scattered, under a seed.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    random::mix(random::fnv1a(random::FNV_START ^ random::mix(seed), bytes))
}
