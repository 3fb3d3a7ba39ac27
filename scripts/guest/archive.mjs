// Debian's archive, asked through a configuration of our own: the machine's lists, keys and packages stay as they are.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guestsFolder, VERSIONS } from "./cache.mjs";
import { MissingError, run } from "./commands.mjs";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** @typedef {{ uri: string, suites: readonly string[] }} Source */

/** @param {string} text of a `.sources` file @returns {Source[]} */
const deb822Sources = (text) =>
  text.split(/\n\s*\n/).flatMap((stanza) => {
    /** @param {string} name */
    const words = (name) =>
      new RegExp(`^${name}:(.*(?:\\n[ \\t].*)*)`, "im").exec(stanza)?.[1]?.split(/\s+/) ?? [];
    const suites = words("Suites").filter((word) => word !== "");
    return words("URIs").flatMap((uri) => (uri === "" ? [] : [{ uri, suites }]));
  });

/** @param {string} text of a `.list` file @returns {Source[]} */
const listSources = (text) =>
  [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/gm)].map(
    ([, uri = "", suite = ""]) => ({
      uri,
      suites: [suite],
    }),
  );

/** @param {string} [etc] apt's @returns {Source[]} what the machine is configured with */
export const configuredSources = (etc = "/etc/apt") => {
  const parts = join(etc, "sources.list.d");
  const files = [
    join(etc, "sources.list"),
    ...(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : []),
  ];
  return files.flatMap((file) => {
    if (!/\.(list|sources)$/.test(file) || !existsSync(file)) return [];
    const text = readFileSync(file, "utf8");
    return file.endsWith(".list") ? listSources(text) : deb822Sources(text);
  });
};

/**
 * The lines of a list of our own.
 *
 * @param {readonly Source[]} sources the machine's
 * @param {string | undefined} mirror named by the user
 * @returns {{ archive: string[], security: string[] } | undefined} `undefined` where no mirror of Debian is known
 */
export const ownSources = (sources, mirror) => {
  const archive = mirror ?? sources.find(({ uri }) => /\/debian\/?$/.test(uri))?.uri;
  if (archive === undefined) return undefined;
  const security = sources.find(
    ({ uri, suites }) =>
      /\/debian-security\/?$/.test(uri) &&
      suites.some((suite) => VERSIONS.securitySuites.includes(suite)),
  );
  const options = `[arch=amd64,i386 signed-by=${KEYRING}]`;
  /** @param {string} uri @param {readonly string[]} suites */
  const lines = (uri, suites) => suites.map((suite) => `deb ${options} ${uri} ${suite} main`);
  return {
    archive: lines(archive, VERSIONS.suites),
    security: security === undefined ? [] : lines(security.uri, VERSIONS.securitySuites),
  };
};

const folder = () => join(guestsFolder(), "archive");

/** A configuration that keeps apt inside the folder; the machine's is read too, for its proxies. */
const configuration = () => {
  const settings = {
    "Dir::Etc::sourcelist": join(folder(), "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "Dir::State": join(folder(), "state"),
    "Dir::State::lists": join(folder(), "lists"),
    "Dir::State::status": join(folder(), "status"),
    "Dir::Cache": join(folder(), "cache"),
    "Acquire::Languages": "none",
    "Acquire::Retries": "2",
    // A list that could not be fetched is no small matter here.
    "APT::Update::Error-Mode": "any",
    "APT::Sandbox::User": "",
  };
  return Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
};

/**
 * @param {readonly string[]} command
 * @param {string} [cwd]
 */
const apt = (command, cwd) =>
  run(command, { env: { APT_CONFIG: join(folder(), "apt.conf") }, ...(cwd && { cwd }) });

/**
 * Fetches the archive's lists.
 *
 * @throws MissingError when there is nowhere to fetch them from, or no key to check them with
 */
export const openArchive = () => {
  const lines = ownSources(configuredSources(), process.env["SOFTIOMMU_DEBIAN_MIRROR"]);
  if (lines === undefined) {
    throw new MissingError(
      "missing: a mirror of Debian among apt's sources; SOFTIOMMU_DEBIAN_MIRROR=URL names one",
    );
  }
  if (!existsSync(KEYRING)) {
    throw new MissingError(
      "missing: Debian's keys; to install them: apt-get install debian-archive-keyring",
    );
  }
  for (const name of ["state", "lists/partial", "cache/archives/partial", "packages"]) {
    mkdirSync(join(folder(), name), { recursive: true });
  }
  writeFileSync(join(folder(), "apt.conf"), configuration().join(""));
  writeFileSync(join(folder(), "status"), "");
  const list = join(folder(), "sources.list");
  /** @param {readonly string[]} wanted */
  const update = (wanted) => {
    writeFileSync(list, `${wanted.join("\n")}\n`);
    apt(["apt-get", "-qq", "update"]);
  };
  try {
    update([...lines.archive, ...lines.security]);
  } catch (error) {
    // Security updates are welcome, not needed.
    if (lines.security.length === 0) throw error;
    update(lines.archive);
  }
};

/** Drops the archive's lists: they are old by the next build. */
export const closeArchive = () => rmSync(folder(), { recursive: true, force: true });

/**
 * @param {string} name
 * @returns {string | undefined} the version that would be fetched
 */
export const offeredVersion = (name) => {
  const policy = apt(["apt-cache", "policy", name]);
  const version = /^ {2}Candidate: (\S+)$/m.exec(policy)?.[1];
  return version === "(none)" ? undefined : version;
};

/** @returns {string | undefined} the package with the newest kernel's source that the archive offers */
export const newestKernelSource = () => {
  const found = apt(["apt-cache", "search", "--names-only", "^linux-source-[0-9]"]);
  const versions = [...found.matchAll(/^linux-source-(\d+)\.(\d+) /gm)].map(
    ([, major, minor]) => /** @type {const} */ ([Number(major), Number(minor)]),
  );
  const newest = versions.sort(([a, b], [c, d]) => a - c || b - d).at(-1);
  return newest === undefined ? undefined : `linux-source-${newest.join(".")}`;
};

/**
 * @param {string} name a package, with `:i386` or `/suite` behind it
 * @returns {string} its file; the caller removes it
 */
export const fetchPackage = (name) => {
  const target = join(folder(), "packages");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  apt(["apt-get", "-qq", "download", name], target);
  const [file] = readdirSync(target);
  if (file === undefined) throw new Error(`apt-get download ${name} has left no file`);
  return join(target, file);
};

/**
 * Unpacks packages below a folder, as `/` would hold them.
 *
 * @param {readonly string[]} names
 * @param {string} folder
 */
export const unpackPackages = (names, folder) => {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    const file = fetchPackage(`${name}/${VERSIONS.toolSuite}`);
    run(["dpkg-deb", "-x", file, folder]);
    rmSync(file);
  }
};
