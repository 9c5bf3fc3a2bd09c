
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const floats = (text) => new Float32Array(bytes(text));
const stage = data.stage;

// -- Vectors and matrices (columns first, as WebGL takes them) ------------------------------------
const add = (a, b, s = 1) => a.map((x, i) => x + s * b[i]);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const n = Math.hypot(...a) || 1; return a.map((x) => x / n); };
function multiply(a, b) {
  const out = new Float32Array(16);
  for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += a[4 * k + r] * b[4 * c + k];
    out[4 * c + r] = sum;
  }
  return out;
}
function placed(pose) {
  const [x, y, z, w, i, j, k] = pose;
  return new Float32Array([
    1 - 2 * (j * j + k * k), 2 * (i * j + w * k), 2 * (i * k - w * j), 0,
    2 * (i * j - w * k), 1 - 2 * (i * i + k * k), 2 * (j * k + w * i), 0,
    2 * (i * k + w * j), 2 * (j * k - w * i), 1 - 2 * (i * i + j * j), 0,
    x, y, z, 1]);
}

// -- Shapes ---------------------------------------------------------------------------------------
const canvas = document.querySelector("canvas");
const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: false, preserveDrawingBuffer: true });
if (!gl) byId("hint").textContent = "This browser has no WebGL 2, so there is no picture; the figures are below.";

function program(vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, "#version 300 es\n" + text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.bindAttribLocation(made, 0, "position");
  gl.linkProgram(made);
  return made;
}
function buffer(values, kind = gl.ARRAY_BUFFER) {
  const made = gl.createBuffer();
  gl.bindBuffer(kind, made);
  gl.bufferData(kind, values, gl.STATIC_DRAW);
  return made;
}
function mesh(vertices, faces, colour, body) {
  return { vertices: buffer(vertices), faces: buffer(faces, gl.ELEMENT_ARRAY_BUFFER), count: faces.length, colour, body };
}
function sphere(radius) {
  const rows = 10, turns = 16, points = [], faces = [];
  for (let r = 0; r <= rows; r++) for (let t = 0; t < turns; t++) {
    const a = Math.PI * r / rows, b = 2 * Math.PI * t / turns;
    points.push(radius * Math.sin(a) * Math.cos(b), radius * Math.sin(a) * Math.sin(b), radius * Math.cos(a));
    const p = r * turns + t, q = r * turns + (t + 1) % turns;
    if (r < rows) faces.push(p, p + turns, q, q, p + turns, q + turns);
  }
  return [new Float32Array(points), new Uint32Array(faces)];
}
// A path as a flat ribbon in the plane, so that it has a width.
function ribbon(path, width, height) {
  const points = [], faces = [], n = path.length / 2;
  for (let i = 0; i < n - 1; i++) {
    const [x, y, u, v] = path.slice(2 * i, 2 * i + 4), size = Math.hypot(u - x, v - y) || 1;
    const a = -(v - y) / size * width / 2, b = (u - x) / size * width / 2, p = points.length / 3;
    points.push(x + a, y + b, height, x - a, y - b, height, u + a, v + b, height, u - a, v - b, height);
    faces.push(p, p + 1, p + 2, p + 2, p + 1, p + 3);
  }
  return [new Float32Array(points), new Uint32Array(faces)];
}
const size = Math.max(stage.high[0] - stage.low[0], stage.high[1] - stage.low[1]);
const rise = stage.height + 0.006 * size;
let shapes = [], marker, shader, places;
if (gl) {
  shader = program(
    "in vec3 position; uniform mat4 view; uniform mat4 pose; out vec3 place;" +
    "void main() { vec4 p = pose * vec4(position, 1.0); place = p.xyz; gl_Position = view * p; }",
    "precision highp float; in vec3 place; uniform vec4 colour; uniform vec3 eye; uniform float flat_; out vec4 shown;" +
    "void main() { vec3 n = normalize(cross(dFdx(place), dFdy(place)));" +
    "float light = 0.42 + 0.38 * abs(dot(n, normalize(eye - place))) + 0.24 * max(abs(n.z), 0.0);" +
    "shown = vec4(colour.rgb * mix(light, 1.0, flat_), colour.a); }");
  places = Object.fromEntries(["view", "pose", "colour", "eye", "flat_"].map((x) => [x, gl.getUniformLocation(shader, x)]));
  shapes = stage.parts.map((p) => mesh(floats(p.vertices), new Uint32Array(bytes(p.faces)), p.colour, p.body));
  marker = mesh(...sphere(0.022 * size), [230, 50, 70], 0);
}

// -- The camera -----------------------------------------------------------------------------------
const flatSize = Math.hypot(stage.towards[0], stage.towards[1]);
let azimuth = Math.atan2(stage.towards[1], stage.towards[0]);
let elevation = Math.atan2(stage.towards[2], flatSize);
let zoom = 1;
function camera(aspect) {
  const back = [Math.cos(elevation) * Math.cos(azimuth), Math.cos(elevation) * Math.sin(azimuth), Math.sin(elevation)];
  const right = unit(cross([0, 0, 1], back)), up = cross(back, right), tangent = Math.tan(stage.fov / 2) / 1.08;
  let distance = 0;
  for (const x of [stage.low[0], stage.high[0]]) for (const y of [stage.low[1], stage.high[1]]) for (const z of [stage.floor, stage.top]) {
    const p = add([x, y, z], stage.lookat, -1);
    const needed = Math.max(Math.abs(dot(p, right)) / (tangent * aspect), Math.abs(dot(p, up)) / tangent);
    distance = Math.max(distance, needed + dot(p, back));
  }
  distance *= zoom;
  const eye = add(stage.lookat, back, distance), near = distance / 50, far = distance * 8;
  const look = new Float32Array([
    right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
    -dot(right, eye), -dot(up, eye), -dot(back, eye), 1]);
  const f = 1 / Math.tan(stage.fov / 2);
  const project = new Float32Array([
    f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, 2 * far * near / (near - far), 0]);
  return { eye, right, up, back, view: multiply(project, look), aspect };
}

// -- The task -------------------------------------------------------------------------------------
let task, beside, lines = [[], []], poses = [];
const text = (id, words) => { byId(id).textContent = words; };
function choose(index) {
  task = data.tasks[index];
  byId("task").value = String(index);
  byId("outside").hidden = !task.outside;
  text("outside", task.outside || "");
  byId("latents").innerHTML = task.latents || "";
  const wanted = byId("other").value || "after_1";
  byId("other").replaceChildren(...task.played.slice(1).map((p) => new Option(p.label, p.name)));
  show(task.played.some((p) => p.name === wanted) ? wanted : "after_1");
  table();
}
function show(name) {
  byId("other").value = name;
  beside = task.played.find((p) => p.name === name);
  const two = [task.played[0], beside];
  text("left", two[0].label);
  text("right", two[1].label);
  poses = two.map((p) => ({ values: floats(p.poses), bodies: p.bodies }));
  clock = rest = 0;
  const pictures = two.filter((p) => p.seen);
  byId("seen").replaceChildren(...pictures.map((p) => {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    figure.innerHTML = p.seen;
    caption.textContent = p.label + ": what it sees, and the points it finds";
    figure.prepend(caption);
    return figure;
  }));
  if (!gl) return;
  for (const line of lines.flat()) { gl.deleteBuffer(line.vertices); gl.deleteBuffer(line.faces); }
  const thin = task.paths.map((p, i) => mesh(...ribbon(floats(p), 0.004 * size, rise), task.colours[i], 0));
  lines = two.map((p, i) => [
    ...(i ? [] : thin), mesh(...ribbon(floats(p.path), 0.011 * size, rise * 1.001 + 0.001 * size), data.colours[p.kind], 0)]);
}
function table() {
  const names = [...new Set(task.played.flatMap((p) => Object.keys(p.figures)))];
  const row = (cells) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map((c, i) => { const cell = document.createElement(i && c.dataset === undefined ? "td" : "th"); cell.append(c); return cell; }));
    return tr;
  };
  const rows = task.played.map((p) => {
    const name = document.createElement("span"), dot_ = document.createElement("i");
    dot_.style.background = `rgb(${data.colours[p.kind].join(",")})`;
    name.append(dot_, p.label);
    const tr = row([name, ...names.map((n) => p.figures[n] ?? "–")]);
    tr.dataset.condition = p.name;
    return tr;
  });
  byId("figures").replaceChildren(row(["", ...names]), ...rows);
}

// -- Playing --------------------------------------------------------------------------------------
let clock = 0, rest = 0, last = 0, playing = true;
function between(film, at) {
  const stride = 7 * film.bodies, end = film.values.length / stride - 1;
  const t = Math.min(at, end), first = Math.min(Math.floor(t), Math.max(end - 1, 0)), share = t - first;
  const one = film.values.subarray(first * stride, (first + 1) * stride);
  const two = film.values.subarray(Math.min(first + 1, end) * stride, (Math.min(first + 1, end) + 1) * stride);
  return Array.from({ length: film.bodies }, (_, b) => {
    const p = one.subarray(7 * b, 7 * b + 7), q = two.subarray(7 * b, 7 * b + 7);
    const sign = p[3] * q[3] + p[4] * q[4] + p[5] * q[5] + p[6] * q[6] < 0 ? -1 : 1;
    const mixed = Array.from(p, (x, i) => x + share * ((i > 2 ? sign : 1) * q[i] - x));
    return [...mixed.slice(0, 3), ...unit(mixed.slice(3))];
  });
}
const still = new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
function draw(shape, matrix, opacity, flat) {
  gl.uniformMatrix4fv(places.pose, false, matrix);
  gl.uniform4f(places.colour, ...shape.colour.map((x) => x / 255), opacity);
  gl.uniform1f(places.flat_, flat);
  gl.bindBuffer(gl.ARRAY_BUFFER, shape.vertices);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, shape.faces);
  gl.drawElements(gl.TRIANGLES, shape.count, gl.UNSIGNED_INT, 0);
}
function halves() {
  const portrait = canvas.clientHeight > canvas.clientWidth, w = canvas.width, h = canvas.height;
  return portrait ? [[0, h / 2, w, h / 2], [0, 0, w, h / 2]] : [[0, 0, w / 2, h], [w / 2, 0, w / 2, h]];
}
function frame(now) {
  const passed = Math.min((now - last) / 1000, 0.2), speed = 2 ** Number(byId("speed").value);
  last = now;
  const end = Math.max(...poses.map((f) => f.values.length / 7 / f.bodies - 1));
  if (playing) {
    if (clock < end) clock = Math.min(clock + passed * speed / data.step, end);
    else if ((rest += passed) > 0.9) clock = rest = 0;
  }
  if (gl) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [w, h] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(shader);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    halves().forEach((box, i) => {
      gl.viewport(...box);
      const { view, eye } = camera(box[2] / box[3]);
      gl.uniformMatrix4fv(places.view, false, view);
      gl.uniform3f(places.eye, ...eye);
      const now_ = between(poses[i], clock);
      for (const shape of shapes) draw(shape, placed(now_[shape.body]), 1, 0);
      for (const line of lines[i]) draw(line, still, 0.85, 1);
      draw(marker, placed([...task.goal, 1, 0, 0, 0]), 0.65, 0);
    });
  }
  requestAnimationFrame(frame);
}

// -- Hands ----------------------------------------------------------------------------------------
let held = null, moved = 0;
canvas.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; moved = 0; canvas.setPointerCapture(e.pointerId); });
canvas.addEventListener("pointermove", (e) => {
  if (!held) return;
  const [dx, dy] = [e.clientX - held[0], e.clientY - held[1]];
  moved += Math.abs(dx) + Math.abs(dy);
  if (moved > 6) {
    azimuth -= dx * 0.008;
    elevation = Math.min(1.55, Math.max(0.05, elevation + dy * 0.008));
  }
  held = [e.clientX, e.clientY];
});
canvas.addEventListener("pointerup", (e) => { held = null; if (moved <= 6) clicked(e); });
canvas.addEventListener("pointercancel", () => { held = null; });
canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom = Math.min(4, Math.max(0.2, zoom * Math.exp(e.deltaY * 0.001))); }, { passive: false });
function clicked(e) {
  if (!data.clickable) return;
  const area = canvas.getBoundingClientRect(), portrait = area.height > area.width;
  let u = (e.clientX - area.left) / area.width, v = (e.clientY - area.top) / area.height;
  if (portrait) v = (v * 2) % 1; else u = (u * 2) % 1;
  const aspect = portrait ? area.width / (area.height / 2) : area.width / 2 / area.height;
  const { eye, right, up, back } = camera(aspect), t = Math.tan(stage.fov / 2);
  const ray = add(add(back.map((x) => -x), right, (2 * u - 1) * t * aspect), up, (1 - 2 * v) * t);
  const far = (stage.height - eye[2]) / ray[2];
  if (!(far > 0)) return;
  const point = add(eye, ray, far);
  const gaps = data.tasks.map((x) => Math.hypot(x.goal[0] - point[0], x.goal[1] - point[1]));
  choose(gaps.indexOf(Math.min(...gaps)));
}
document.querySelector("h1").textContent = data.title;
text("about", data.about);
if (gl) text("hint", (data.clickable ? "Click the floor near a goal, or choose a task. " : "Choose a task. ") + "Drag to look around. Thin paths are the exploring episodes, yellow ones earned most.");
byId("task").replaceChildren(...data.tasks.map((x, i) => new Option(x.words, i)));
byId("task").addEventListener("change", (e) => choose(Number(e.target.value)));
byId("other").addEventListener("change", (e) => show(e.target.value));
byId("play").addEventListener("click", () => {
  playing = !playing;
  text("play", playing ? "Pause" : "Play");
  byId("play").setAttribute("aria-pressed", String(playing));
});
choose(Math.floor(data.tasks.length / 3));
requestAnimationFrame(frame);
})();
