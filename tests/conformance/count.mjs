// What one run of the suite came to: node count.mjs TITLE RESULTS LOG EXIT_CODE, called by run.sh.
//
// Prints one line of counts and each check that failed, warned or was skipped. Fails when a check failed or warned, when
// a scenario wrote no checks and the log calls it failed, when the suite said so itself, and when nothing passed at all.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [title, results, log, exitCode] = process.argv.slice(2);
const QUIET = ['SUCCESS', 'INFO'];
const HARMLESS = [...QUIET, 'SKIPPED'];

const counts = new Map();
const told = [];
const failed = [];
const folders = existsSync(results) ? readdirSync(results).sort() : [];
for (const folder of folders) {
  const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T.*$/, '');
  for (const check of JSON.parse(readFileSync(join(results, folder, 'checks.json'), 'utf8'))) {
    counts.set(check.status, (counts.get(check.status) ?? 0) + 1);
    if (QUIET.includes(check.status)) continue;
    const why = String(check.errorMessage ?? check.details?.reason ?? check.description ?? '').slice(0, 300);
    told.push(`  ${check.status} ${scenario} / ${check.id}: ${why}`);
    if (!HARMLESS.includes(check.status)) failed.push(scenario);
  }
}
// A scenario that broke down before it wrote anything is only in the summary.
const said = readFileSync(log, 'utf8');
for (const [, scenario] of said.matchAll(/^\s*\u2717 ([^\s:]+)/gm)) {
  if (!failed.includes(scenario)) {
    failed.push(scenario);
    told.push(`  FAILURE ${scenario}: see the summary of the suite`);
  }
}
const passed = counts.get('SUCCESS') ?? 0;
const others = [...counts].filter(([status]) => status !== 'SUCCESS' && status !== 'INFO');
const rest = others.map(([status, count]) => `, ${count} ${status}`).join('');
console.log(`${title}: ${folders.length} scenarios, ${passed} checks passed, ${failed.length} failed${rest}`);
for (const line of told) console.log(line);
if (failed.length === 0 && (exitCode !== '0' || passed === 0)) {
  for (const line of said.split('\n').slice(-20)) console.log(`  ${line.slice(0, 300)}`);
  console.log(`  the suite ended with ${exitCode} after ${passed} passed checks`);
}
process.exitCode = failed.length === 0 && exitCode === '0' && passed > 0 ? 0 : 1;
