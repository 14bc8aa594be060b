// What one run of the suite came to: node count.mjs TITLE RESULTS LOG EXIT_CODE [EXCEPTIONS [DIRECT [measure]]], called by run.sh,
// through.sh and client.sh.
//
// Prints one line of counts and each check that failed, warned or was skipped. Fails when a check failed or warned, when
// a scenario wrote no checks and the log calls it failed, when the suite said so itself, and when nothing passed at all.
// EXCEPTIONS names a list in exceptions.json, of checks that cannot pass there: one that is listed and passes, or is not
// run, is stale and fails too. DIRECT is a file: with `measure` the checks that pass are written to it, and none needs to;
// without, each of those must pass, and one that failed there may.

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [title, results, log, exitCode, listed, direct, measure] = process.argv.slice(2);
const QUIET = ['SUCCESS', 'INFO'];
const HARMLESS = [...QUIET, 'SKIPPED'];

// Check to reason.
const exceptions = new Map();
if (listed) {
  const lists = JSON.parse(readFileSync(new URL('exceptions.json', import.meta.url), 'utf8'));
  for (const [reason, checks] of Object.entries(lists[listed] ?? {})) for (const check of checks) exceptions.set(check, reason);
}
const excepted = new Set();

// Check to how often it passed, and checks that failed, without the gateway.
const before = direct && !measure ? JSON.parse(readFileSync(direct, 'utf8')) : { passed: {}, failed: [] };
const now = { passed: {}, failed: [] };

const counts = new Map();
const told = [];
const failed = [];
const folders = existsSync(results) ? readdirSync(results).sort() : [];
const exceptedScenarios = new Set();
for (const folder of folders) {
  const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T.*$/, '');
  for (const check of JSON.parse(readFileSync(join(results, folder, 'checks.json'), 'utf8'))) {
    counts.set(check.status, (counts.get(check.status) ?? 0) + 1);
    const name = `${scenario} / ${check.id}`;
    if (check.status === 'SUCCESS') now.passed[name] = (now.passed[name] ?? 0) + 1;
    if (QUIET.includes(check.status)) continue;
    if (!HARMLESS.includes(check.status)) {
      now.failed.push(name);
      // No failure where it fails without the gateway too.
      if (measure || before.failed.includes(name) || exceptions.has(name)) {
        exceptedScenarios.add(scenario);
        if (exceptions.has(name)) excepted.add(name);
        continue;
      }
    }
    const why = String(check.errorMessage ?? check.details?.reason ?? check.description ?? '').slice(0, 300);
    told.push(`  ${check.status} ${name}: ${why}`);
    if (!HARMLESS.includes(check.status)) failed.push(scenario);
  }
}
// A scenario that broke down before it wrote anything is only in the summary.
const said = readFileSync(log, 'utf8');
for (const [, scenario] of said.matchAll(/^\s*\u2717 ([^\s:]+)/gm)) {
  if (!failed.includes(scenario) && !exceptedScenarios.has(scenario)) {
    failed.push(scenario);
    told.push(`  FAILURE ${scenario}: see the summary of the suite`);
  }
}
for (const [name, times] of Object.entries(before.passed)) {
  if ((now.passed[name] ?? 0) < times && !excepted.has(name)) {
    if (exceptions.has(name)) {
      excepted.add(name);
      continue;
    }
    failed.push(name);
    told.push(`  LOST ${name}: passes without the gateway`);
  }
}
for (const name of exceptions.keys()) {
  if (!excepted.has(name)) {
    failed.push(name);
    told.push(`  STALE ${name}: is excepted in exceptions.json, and did not fail`);
  }
}
if (measure) writeFileSync(direct, JSON.stringify(now));
const passed = counts.get('SUCCESS') ?? 0;
const skipped = counts.get('SKIPPED') ?? 0;
const rest = [
  [skipped, 'skipped'],
  [now.failed.filter((name) => before.failed.includes(name)).length, 'that fail direct too'],
  [measure ? now.failed.length : 0, 'that fail by themselves'],
  [excepted.size, 'that cannot pass'],
].map(([count, what]) => (count > 0 ? `, ${count} ${what}` : '')).join('');
console.log(`${title}: ${folders.length} scenarios, ${passed} checks passed, ${failed.length} failed${rest}`);
for (const line of told) console.log(line);
for (const reason of new Set([...excepted].map((name) => exceptions.get(name)))) {
  console.log(`  cannot pass: ${reason}`);
  for (const name of excepted) if (exceptions.get(name) === reason) console.log(`    ${name}`);
}
const ended = exitCode === '0' || exceptedScenarios.size > 0;
if (failed.length === 0 && (!ended || passed === 0)) {
  for (const line of said.split('\n').slice(-20)) console.log(`  ${line.slice(0, 300)}`);
  console.log(`  the suite ended with ${exitCode} after ${passed} passed checks`);
}
process.exitCode = failed.length === 0 && ended && passed > 0 ? 0 : 1;
