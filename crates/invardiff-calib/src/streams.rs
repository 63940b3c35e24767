//! The tensors that a calibration compares.

use std::collections::HashMap;

use invardiff_plan::two_phase::DistanceTable;
use invardiff_plan::{PlanError, Site, Topology};

/// The tensors that a calibration compares, numbered as in a [`DistanceTable`]: the trunk first, then the module streams in
/// order of execution.
#[derive(Clone, Debug)]
pub struct Streams {
    topology: Topology,
    of_site: HashMap<Site, Vec<usize>>,
    count: usize,
}

impl Streams {
    /// The streams of a model.
    pub fn new(topology: Topology) -> Self {
        let mut of_site = HashMap::from([(Site::TRUNK, vec![DistanceTable::TRUNK])]);
        let mut count = DistanceTable::TRUNK + 1;
        for spec in &topology.sites {
            of_site.insert(spec.site, (count..count + spec.streams.len()).collect());
            count += spec.streams.len();
        }
        Self { topology, of_site, count }
    }

    /// The model's sites.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// An empty table of distances between these streams.
    ///
    /// # Errors
    /// As [`DistanceTable::new`].
    pub fn table(&self, steps: usize, window: usize) -> Result<DistanceTable, PlanError> {
        DistanceTable::for_topology(&self.topology, steps, window)
    }

    /// How many there are, the trunk included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The numbers of the tensors at a site; `None` where the topology lists no such site.
    pub(crate) fn at(&self, site: Site) -> Option<&[usize]> {
        self.of_site.get(&site).map(Vec::as_slice)
    }

    /// The site of a stream.
    pub(crate) fn site(&self, stream: usize) -> Option<Site> {
        self.of_site.iter().find(|(_, streams)| streams.contains(&stream)).map(|(site, _)| *site)
    }
}
