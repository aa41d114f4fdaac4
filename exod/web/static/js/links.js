// Where else a place on the sky can be looked up; nothing is fetched before a click.

/** Pairs of a name and an address for a position in degrees and an observation. */
export function outside(ra, dec, radius, obsid) {
  const place = `${ra}${dec < 0 ? "" : "+"}${dec}`;
  const arcmin = Math.max(radius / 60, 0.1).toFixed(2);
  return [
    ["SIMBAD", `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${encodeURIComponent(place)}&Radius=${arcmin}&Radius.unit=arcmin`],
    ["NED", `https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&coordinates=${ra}d%20${dec}d&radius=${arcmin}`],
    ["VizieR", `https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-c=${encodeURIComponent(`${ra} ${dec}`)}&-c.rs=${Math.ceil(radius)}`],
    ["ESASky", `https://sky.esa.int/?target=${encodeURIComponent(`${ra} ${dec}`)}&fov=0.1`],
    archiveOf(obsid),
    ["4XMM at IRAP", `http://xmm-catalog.irap.omp.eu/conesearch?position=${encodeURIComponent(`${ra} ${dec}`)}&radius=${arcmin}`],
    ["HILIGT", `http://xmmuls.esac.esa.int/upperlimitserver/?ra=${ra}&dec=${dec}`],
    ["Legacy Survey", `https://www.legacysurvey.org/viewer?ra=${ra}&dec=${dec}&zoom=16&mark=${ra},${dec}`],
    ["ADS", `https://ui.adsabs.harvard.edu/search/q=${encodeURIComponent(`object:"${ra} ${dec}:0 ${arcmin}"`)}`],
  ];
}

/** The archive of the observatory of an observation: identifiers of XMM-Newton have ten digits. */
function archiveOf(obsid) {
  if (obsid && obsid.length < 10) return ["Chandra archive", `https://cda.harvard.edu/chaser/startViewer.do?menuItem=details&obsid=${obsid}`];
  return ["XMM-Newton archive", obsid ? `https://nxsa.esac.esa.int/nxsa-web/#obsid=${obsid}` : "https://nxsa.esac.esa.int/"];
}

/** DS9 region file of a circle. */
export function regionFile(ra, dec, radius, name) {
  return `# Region file format: DS9\nicrs\ncircle(${ra},${dec},${radius}") # text={${name.replace(/[{}]/g, "")}}\n`;
}

/** A file that the browser makes of a text, or of its parts. */
export function download(name, text, kind = "text/plain") {
  const address = URL.createObjectURL(new Blob([text].flat(), { type: kind }));
  const link = document.createElement("a");
  [link.href, link.download] = [address, name];
  link.click();
  URL.revokeObjectURL(address);
}

/** Rows as CSV; text that a spreadsheet would take for a formula is guarded. */
export function csv(rows) {
  if (!rows.length) return "";
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    let text = value instanceof Date ? value.toISOString() : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = Object.keys(rows[0]);
  return [names.join(","), ...rows.map((row) => names.map((name) => cell(row[name])).join(","))].join("\n") + "\n";
}
